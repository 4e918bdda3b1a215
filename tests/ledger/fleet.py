"""The fleet: the writing and reading processes, which can be killed, stopped and replaced."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.ledger.networks import Network
from tests.ledger.places import ROOT, Place

# How a client's connections live; through PgBouncer where one is to be had.
KINDS = ("persistent", "pool", "request")
POOLED = "pgbouncer"
# The kinds that reach the server by the network that is cut, where there is one.
FAR = ("persistent", "request")
END_SECONDS = 15


@dataclass(frozen=True, kw_only=True)
class Seat:
    """One client of the fleet, whichever process sits there."""

    name: str
    module: str
    environment: dict[str, str] = field(repr=False)
    prefix: tuple[str, ...] = ()
    far: bool = False

    @property
    def writes(self) -> bool:
        return self.module != "readers"


def seats(place: Place, *, bouncer: str = "", network: Network | None = None) -> tuple[Seat, ...]:
    """Return the seats: a writer and a reader of each kind, and a writer that ignores the package."""
    kinds = (*KINDS, POOLED) if bouncer else KINDS
    pairs = [seat for kind in kinds for seat in _pair(place, kind, bouncer, network)]
    return (*pairs, Seat(name="plain", module="plain", environment=place.environment("plain")))


def _pair(place: Place, kind: str, bouncer: str, network: Network | None) -> Iterator[Seat]:
    far = network if kind in FAR else None
    way = bouncer if kind == POOLED else far.way if far else ""
    for module in ("writers", "readers"):
        yield Seat(
            name=f"{module[:-1]}-{kind}",
            module=module,
            environment=place.environment(kind, way=way),
            prefix=far.prefix if far else (),
            far=far is not None,
        )


class Fleet:
    """The running clients; each replacement has a book of its own."""

    def __init__(self, taken: Sequence[Seat], *, seed: str, folder: Path) -> None:
        self.seats = {seat.name: seat for seat in taken}
        self.folder = folder
        self._seed = seed
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._generations: dict[str, int] = {}

    def start(self, name: str) -> None:
        """Let a process take a seat."""
        seat = self.seats[name]
        self._generations[name] = self._generations.get(name, 0) + 1
        client = f"{name}.{self._generations[name]}"
        command = [sys.executable, "-m", f"tests.ledger.{seat.module}", client, str(self.folder), self._seed]
        with self._log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*seat.prefix, *command],
                env=seat.environment,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                # What a pool says of the connections it lost, above all.
                stderr=log,
                # A session of its own: Ctrl-C reaches the ledger alone, which then ends its clients.
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """SIGKILL a client."""
        self._processes[name].kill()
        self._processes[name].communicate()

    def stop(self, name: str) -> None:
        """SIGSTOP a client."""
        self._processes[name].send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """SIGCONT a client."""
        self._processes[name].send_signal(signal.SIGCONT)

    def dead(self) -> list[str]:
        """Return the clients that ended by themselves, which none may."""
        return [
            f"{name}: {status}: {self._log(name).read_text()[-500:]}"
            for name, process in self._processes.items()
            if (status := process.poll()) is not None
        ]

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def end(self) -> None:
        """End all clients, in the midst of nothing where they can."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes.values():
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def fleet(taken: Sequence[Seat], *, seed: str) -> Iterator[Fleet]:
    """Have the clients at work for the length of the block, their books in a folder that goes with them."""
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        made = Fleet(taken, seed=seed, folder=Path(folder))
        try:
            for seat in taken:
                made.start(seat.name)
            yield made
        finally:
            made.end()
