"""A PostgreSQL server of the ledger's own that can be restarted, and which ends with whoever started it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.embedded import (
    EmbeddedServerError,
    Home,
    _comes_up,
    _create_cluster,
    _home,
    _last_words,
    _release,
    _spawn,
    _start_server,
    _stop_server,
    _tell,
)
from tests.ledger.places import ROOT

# How a server ends before it starts anew: told to, or without a word (then it recovers from its WAL).
ENDINGS = {"restart": signal.SIGINT, "crash": signal.SIGQUIT}
STOP_SECONDS = 60


class Server:
    """The parent's side: the superuser's URL, and restarts."""

    def __init__(self, watcher: subprocess.Popen[str], url: str) -> None:
        self._watcher, self.url = watcher, url

    def restart(self, ending: str) -> None:
        """End the server in one of the ENDINGS and wait until it is up again, on the same port."""
        assert self._watcher.stdin is not None
        assert self._watcher.stdout is not None
        self._watcher.stdin.write(f"{ending}\n")
        self._watcher.stdin.flush()
        answer = self._watcher.stdout.readline().strip()
        assert answer == "up", answer


@contextmanager
def server(binaries: Path, *, address: str = "") -> Iterator[Server]:
    """Run one for the length of the block; `address` is a further one of the machine's to listen on."""
    watcher = subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.servers", str(binaries), address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    try:
        assert watcher.stdout is not None
        url = watcher.stdout.readline().strip()
        if not url.startswith("postgres://"):
            raise EmbeddedServerError(url or "The watcher of the ledger's PostgreSQL ended too early.")
        yield Server(watcher, url)
    finally:
        _release(watcher)


# -- the watcher's side


def watch(binaries: Path, address: str) -> None:
    """Run a server, restart it when told, end with the parent."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        with _home(binaries) as home:
            _create_cluster(home)
            _open_to(home, address)
            process, port = _start_server(home)
            _serve(home, process, port)
    except (EmbeddedServerError, OSError) as error:
        _tell(f"No PostgreSQL: {error}")


def _open_to(home: Home, address: str) -> None:
    if not address:
        return
    with (home.data / "postgresql.conf").open("a") as configuration:
        configuration.write(f"listen_addresses = '127.0.0.1, {address}'\n")
    with (home.data / "pg_hba.conf").open("a") as access:
        access.write(f"host all all {address}/30 scram-sha-256\n")


def _serve(home: Home, process: subprocess.Popen[bytes], port: int) -> None:
    try:
        _tell(f"postgres://postgres:{home.password}@127.0.0.1:{port}/postgres")
        for line in sys.stdin:
            if line.strip() not in ENDINGS:
                return
            process = _restarted(home, process, port, ENDINGS[line.strip()])
            _tell("up")
    finally:
        _stop_server(process)


def _restarted(
    home: Home, process: subprocess.Popen[bytes], port: int, ending: signal.Signals
) -> subprocess.Popen[bytes]:
    with suppress(ProcessLookupError):
        process.send_signal(ending)
    process.wait(STOP_SECONDS)
    started = _spawn(home, "postgres", "-D", str(home.data), "-p", str(port))
    if not _comes_up(started, home):
        _stop_server(started)
        raise EmbeddedServerError(f"postgres did not start again: {_last_words(home)}")
    return started


if __name__ == "__main__":
    watch(Path(sys.argv[1]), sys.argv[2])
