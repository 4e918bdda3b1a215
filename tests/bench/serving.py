"""What visitors of a gunicorn meet while its site is closed and opened: by us, and by what people use instead."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg

from tests.bench import figures
from tests.bench.crowd import Crowd, Visit, What, crowd
from tests.bench.fleet import SECONDS, shop
from tests.bench.place import Place
from tests.bench.ways import MaintenanceCache, MaintenanceFile, Restart, Switch, Way
from tests.bench.web import Web, web
from tests.bench.workers import WorkerError

WAYS: tuple[type[Way], ...] = (Switch, MaintenanceFile, MaintenanceCache, Restart)


@dataclass(frozen=True, kw_only=True)
class Size:
    """`before` is how long the site is open before each closing, `after` how long it stays closed, in seconds."""

    workers: int
    rounds: int
    before: float
    after: float
    slow: float


FULL = Size(workers=4, rounds=5, before=2.5, after=1.5, slow=1.0)
QUICK = Size(workers=2, rounds=1, before=1.2, after=0.2, slow=0.3)


@dataclass(frozen=True, kw_only=True)
class Closing:
    """One closing: seconds from when it took effect, and what was met from then to the opening, in counts.

    `busy` tells whether a request that writes was under way; `landed` are rows that came after it was said to be
    done; `beside` tells whether a plain login of the writer may write then.
    """

    busy: bool
    reach: float
    done: float
    landed: int
    lost: int
    turned_away: int
    reads: int
    longest_read: float
    beside: bool


def report(server: str, *, quick: bool) -> str:
    """Measure and return the table."""
    size = QUICK if quick else FULL
    installed = importlib.util.find_spec("maintenance_mode") is not None
    found: dict[type[Way], list[Closing]] = {}
    with shop(server) as where, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for kind in WAYS:
            if installed or not issubclass(kind, (MaintenanceFile, MaintenanceCache)):
                way = kind(where.environment, Path(folder, "mode"), size.workers)
                found[kind] = _closings(where, way, size, Path(folder, "log"))
    return _table(found, size)


def _closings(where: Place, way: Way, size: Size, log: Path) -> list[Closing]:
    with web(way.environment, workers=size.workers, log=log) as running, way.operator():
        with crowd(running.address) as visitors:
            found = []
            for number in range(size.rounds):
                print(f"serving: {way.name}, round {number + 1} of {size.rounds}", file=sys.stderr, flush=True)
                for slow in (0.0, size.slow):
                    _wait_until(lambda: bool(visitors.since(time.monotonic() - 0.1, What.TAKEN)))
                    time.sleep(size.before)
                    found.append(_closing(where, way, running, visitors, slow=slow, after=size.after))
            return found


def _closing(where: Place, way: Way, running: Web, visitors: Crowd, *, slow: float, after: float) -> Closing:
    asked = time.monotonic()
    with _in_flight(visitors, slow):
        effective, done = way.close(running)
        written = _rows(where)
    # Each of the fleet has refused by then, or the bench says that it did not.
    _wait_until(lambda: running.ready <= set(_refusals(visitors, asked)))
    time.sleep(after)
    closed, later, beside = time.monotonic(), _rows(where), _may_write(where)
    way.open(running)
    _wait_until(lambda: bool(visitors.since(closed, What.TAKEN)))
    _tell_of(visitors.since(asked, What.LOST))
    reads = visitors.since(asked, What.READ)
    return Closing(
        busy=bool(slow),
        reach=max(_refusals(visitors, asked).values()) - effective,
        done=done - effective,
        landed=later - written,
        lost=len(visitors.since(asked, What.LOST)),
        turned_away=len(visitors.since(asked, What.TURNED_AWAY)),
        reads=len(reads),
        longest_read=max((visit.ended - visit.began for visit in reads), default=0.0),
        beside=beside,
    )


@contextmanager
def _in_flight(visitors: Crowd, seconds: float) -> Iterator[None]:
    """Have a request under way whose transaction is open for a while, unless that is nothing."""
    if not seconds:
        yield
        return
    thread = threading.Thread(target=visitors.write, kwargs={"seconds": seconds})
    thread.start()
    time.sleep(seconds / 3)
    try:
        yield
    finally:
        thread.join()


def _refusals(visitors: Crowd, since: float) -> dict[int, float]:
    """Return when each process of the fleet refused first."""
    found: dict[int, float] = {}
    for visit in visitors.since(since, What.REFUSED):
        found.setdefault(visit.process, visit.ended)
    return found


def _rows(where: Place) -> int:
    with where.superuser() as connection:
        return connection.execute("SELECT count(*) FROM shop_pageview").fetchone()[0]


def _may_write(where: Place) -> bool:
    """Return whether a program that knows of nothing may write: it logs in anew, as the site does."""
    with psycopg.connect(where.environment["DATABASE_URL"]) as connection:
        try:
            connection.execute("INSERT INTO shop_pageview (path, hits) VALUES ('beside', 0)")
        except psycopg.errors.ReadOnlySqlTransaction:
            return False
        finally:
            connection.rollback()
    return True


def _wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached():
        if time.monotonic() > deadline:
            raise WorkerError("the fleet did not follow in time")
        time.sleep(0.01)


def _tell_of(lost: list[Visit]) -> None:
    for visit in lost[:3]:
        print(f"serving: lost {visit.said}", file=sys.stderr, flush=True)


# -- the table


def _table(found: dict[type[Way], list[Closing]], size: Size) -> str:
    heads = (
        f"{size.workers} gunicorn workers",
        "the last of them refuses, s",
        "said to be done, s",
        f"the same, a {size.slow:g} s request under way",
        "rows that landed afterwards",
        "reads answered",
        "longest read, s",
        "requests lost",
        "a plain login afterwards",
    )
    ours = found[Switch]
    lost = sum(closing.lost + closing.turned_away for closing in ours)
    left_out = [kind.name for kind in WAYS if kind not in found]
    return figures.table(
        f"Closing and opening a site under load (2 x {size.rounds} times; medians, and sums of what is counted)",
        heads,
        [_row(kind.name, closings) for kind, closings in found.items()],
        figures.verdict("no request lost", met=lost == 0, figure=f"{lost} of ours"),
        "Lost is a request that failed, or an answer that is neither success nor a refusal that says so.",
        *(f"Not measured, for it is not installed here (make bench): {name}." for name in left_out),
    )


def _row(name: str, closings: list[Closing]) -> tuple[str, ...]:
    reads = sum(closing.reads for closing in closings)
    return (
        name,
        f"{median(closing.reach for closing in closings if not closing.busy):.2f}",
        f"{median(closing.done for closing in closings if not closing.busy):.2f}",
        f"{median(closing.done for closing in closings if closing.busy):.2f}",
        str(sum(closing.landed for closing in closings)),
        f"{100 * reads / (reads + sum(closing.turned_away for closing in closings)):.0f} %",
        f"{max(closing.longest_read for closing in closings):.2f}",
        str(sum(closing.lost for closing in closings)),
        "writes" if any(closing.beside for closing in closings) else "refused",
    )
