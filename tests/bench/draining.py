"""How long `on` takes to its receipt: with an idle fleet, with a transaction open, and with many sequences."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import psycopg

from tests.bench import figures
from tests.bench.fleet import ASKED, OF_OURS, fleet
from tests.bench.place import Place
from tests.bench.workers import ROOT, Worker, clean_environment

IDLE_BAR_SECONDS, OPEN_BAR_SECONDS = 1.0, 0.5
# What `on` waits for by default before it ends a session that was busy.
GRACE_SECONDS = 5.0
AFTERWARDS = {
    "close": "its connection is closed (CONN_MAX_AGE 0)",
    "read": "its process reads on (CONN_MAX_AGE None)",
    "rest": "its session stays open, and idle: the grace",
}


@dataclass(frozen=True, kw_only=True)
class Size:
    """`idle` is how long the sessions of a fleet have been idle, and `grace` what `on` is told, in seconds."""

    sessions: int
    rounds: int
    idle: float
    grace: float
    open: float


FULL = Size(sessions=100, rounds=8, idle=GRACE_SECONDS, grace=GRACE_SECONDS, open=3.0)
QUICK = Size(sessions=5, rounds=1, idle=0.0, grace=0.0, open=0.1)


def report(where: Place, *, quick: bool) -> str:
    """Measure and return the tables."""
    size = QUICK if quick else FULL
    with fleet(where.environment, size=2) as (operator, worker):
        return "\n".join((_idle_table(where, operator, size), _open_table(operator, worker, size)))


# -- an idle fleet


def _idle_table(where: Place, operator: Worker, size: Size) -> str:
    called, flipped, whole = [], [], []
    for number in range(size.rounds):
        _tell(f"{size.sessions} idle sessions, round {number + 1} of {size.rounds}")
        with _idle_sessions(where, size):
            times = operator.ask("on", grace=size.grace)
        called.append(times["receipt"] - times[ASKED])
        flipped.append(times["receipt"] - times["committed"])
        operator.ask("off")
        with _idle_sessions(where, size):
            whole.append(_command(where, size))
        operator.ask("off")
    figure = median(whole)
    return figures.table(
        f"`on` with {size.sessions} sessions that were idle for the grace ({size.rounds} rounds)",
        ("seconds", "median", "95 % interval", "longest"),
        (
            ("from the commit to the receipt", *figures.seconds(flipped)),
            ("from `switch_on()` to the receipt", *figures.seconds(called)),
            ("`manage.py read_only on`, the start of Python and Django included", *figures.seconds(whole)),
        ),
        figures.verdict(
            f"at most {IDLE_BAR_SECONDS:g} s, the whole command",
            met=figure <= IDLE_BAR_SECONDS,
            figure=f"{figure:.2f} s",
        ),
        figures.verdict(
            f"at most {IDLE_BAR_SECONDS:g} s, from `switch_on()`",
            met=median(called) <= IDLE_BAR_SECONDS,
            figure=f"{median(called):.2f} s",
        ),
    )


@contextmanager
def _idle_sessions(where: Place, size: Size) -> Iterator[None]:
    """Open sessions of the writer that have been idle for a while."""
    with ExitStack() as stack:
        found: list[psycopg.Connection[Any]] = []
        for _ in range(size.sessions):
            connection = psycopg.connect(where.environment["DATABASE_URL"], autocommit=True)
            found.append(stack.enter_context(connection))
        for connection in found:
            connection.execute("SELECT 1")
        time.sleep(size.idle)
        yield


def _command(where: Place, size: Size) -> float:
    environment = clean_environment({**where.environment, **OF_OURS})
    words = ("-m", "django", "read_only", "on", "--grace", f"{size.grace:g}s")
    began = time.monotonic()
    subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, check=True)
    return time.monotonic() - began


# -- a transaction


def _open_table(operator: Worker, worker: Worker, size: Size) -> str:
    late = {afterwards: [] for afterwards in AFTERWARDS}
    for number in range(size.rounds):
        _tell(f"a transaction of {size.open:g} s, round {number + 1} of {size.rounds}")
        for afterwards, seconds in late.items():
            worker.ask("ready", key=1)
            worker.send("hold", key=1, seconds=size.open, afterwards=afterwards)
            worker.receive()
            times = operator.ask("on", grace=size.grace)
            seconds.append(times["receipt"] - worker.receive())
            operator.ask("off")
    return figures.table(
        f"`on` with a transaction of {size.open:g} s open: from its end to the receipt ({size.rounds} rounds, "
        f"a grace of {size.grace:g} s)",
        ("seconds", "median", "95 % interval", "longest"),
        [(title, *figures.seconds(late[afterwards])) for afterwards, title in AFTERWARDS.items()],
        *(
            figures.verdict(
                f"at most {OPEN_BAR_SECONDS:g} s, where {AFTERWARDS[afterwards].split(':')[0]}",
                met=median(late[afterwards]) <= OPEN_BAR_SECONDS,
                figure=f"{median(late[afterwards]):.2f} s",
            )
            for afterwards in AFTERWARDS
        ),
    )


def _tell(line: str) -> None:
    print(f"draining: {line}", file=sys.stderr, flush=True)
