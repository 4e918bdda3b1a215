"""A gunicorn of the example site, and what it tells of its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.fleet import SECONDS
from tests.bench.workers import ROOT, WorkerError, clean_environment

# Waits for the end of its standard input, which comes however the bench ends; then nothing of the group is left.
WATCHER = '{ "$@" </dev/null; kill -KILL 0; } & read -r _; kill -KILL 0'
CONFIGURATION = Path(__file__).with_name("gunicorn_config.py")


class Web:
    """A running gunicorn: its address, and its workers by process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.master, self.address = 0, ("", 0)
        self.ready: set[int] = set()
        self._process, self._told = process, threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, *rest = line.split()
            with self._told:
                if word == "listening":
                    place = urlsplit(rest[1])
                    self.master, self.address = int(rest[0]), (str(place.hostname), int(place.port or 0))
                elif word == "ready":
                    self.ready.add(int(rest[0]))
                elif word == "gone":
                    self.ready.discard(int(rest[0]))
                self._told.notify_all()

    def close(self) -> None:
        """Read to the end what was told, and let go of the pipes."""
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._told:
            if not self._told.wait_for(condition, timeout=SECONDS):
                raise WorkerError(f"gunicorn did not get ready: {sorted(self.ready)}")

    def restart(self, workers: int) -> None:
        """Replace every worker, as a deployment does, and wait until none of before is left."""
        before = frozenset(self.ready)
        os.kill(self.master, signal.SIGHUP)
        self.wait_for(lambda: before.isdisjoint(self.ready) and len(self.ready) == workers)


@contextmanager
def web(environment: Mapping[str, str], *, workers: int, log: Path) -> Iterator[Web]:
    """Run one; it has ended, with all of its workers, when the block has."""
    env = clean_environment({**environment, "BENCH_WORKERS": str(workers)})
    words = (sys.executable, "-m", "gunicorn", "--config", str(CONFIGURATION), "tests.example.wsgi")
    with log.open("a") as errors:
        process = subprocess.Popen(
            ("sh", "-c", WATCHER, "gunicorn-watcher", *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env=env,
            start_new_session=True,
        )
    running = Web(process)
    try:
        running.wait_for(lambda: len(running.ready) == workers)
        yield running
    except WorkerError as error:
        raise WorkerError(f"{error}; {log.read_text()[-500:]}") from None
    finally:
        # Its group is its own; it is not yet waited for, so the number cannot be another's by now.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        running.close()
