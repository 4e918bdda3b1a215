"""What following the switch costs a request, and what it asks PostgreSQL where the news cannot be pushed."""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.bench import OURS, figures
from tests.bench.fleet import OF_OURS, fleet
from tests.bench.place import Place
from tests.bench.workers import Worker

BAR_MICROSECONDS, BAR_A_SECOND = 10.0, 1.0
BARE, CONTROL = "without", "without, a second process"
# A look is taken at most once a millisecond: in the second case by each request.
PAUSES = {"back to back": 0.0, "2 ms apart, so that each looks": 0.002}

# Timed within one process, with and without.
PARTS = {
    "middleware": "of that: ReadOnlyMiddleware around nothing, when it looks",
    "look-up": "of that: each look-up of a connection",
}


@dataclass(frozen=True, kw_only=True)
class Size:
    generations: int
    rounds: int
    requests: int
    seconds: float
    threads: int


FULL = Size(generations=6, rounds=30, requests=20, seconds=15.0, threads=4)
QUICK = Size(generations=1, rounds=1, requests=2, seconds=0.3, threads=2)

# (case, variant) -> microseconds, one list a generation
Samples = dict[tuple[str, str], list[list[float]]]


def report(where: Place, *, quick: bool) -> str:
    """Measure and return the tables."""
    size = QUICK if quick else FULL
    times, more = defaultdict(list), defaultdict(list)
    for number in range(size.generations):
        print(f"following: generation {number + 1} of {size.generations}", file=sys.stderr, flush=True)
        _generation(where, size, times, more)
    return "\n".join((_cost_table(times, more, size), _questions_table(where, size)))


# -- the cost


def _generation(where: Place, size: Size, times: Samples, more: Samples) -> None:
    variants = {BARE: "bare", CONTROL: "bare", OURS: OURS}
    with ExitStack() as stack:
        workers = {
            name: (stack.enter_context(_worker(where, variants[name])), key)
            for key, name in enumerate(random.sample(list(variants), len(variants)), start=1)
        }
        for worker, key in workers.values():
            worker.ask("settle", key=key)
        for case in PAUSES:
            for name in variants:
                times[case, name].append([])
                more[case, name].append([])
        for _ in range(size.rounds):
            for case, pause in PAUSES.items():
                _round(workers, case, pause, size, times, more)
        for part, microseconds in workers[OURS][0].ask("parts", count=10 * size.requests, pause=0.002).items():
            more[part, OURS].append([microseconds])


def _worker(where: Place, variant: str, **environment: str) -> Worker:
    return Worker("request_worker", {**where.environment, **OF_OURS, "BENCH_VARIANT": variant, **environment})


def _round(
    workers: Mapping[str, tuple[Worker, int]],
    case: str,
    pause: float,
    size: Size,
    times: Samples,
    more: Samples,
) -> None:
    found = {}
    for name in random.sample(list(workers), len(workers)):
        worker, key = workers[name]
        found[name] = worker.ask("request", key=key, count=size.requests, pause=pause)["least"]
    for name, least in found.items():
        times[case, name][-1].append(least)
        more[case, name][-1].append(least - found[BARE])


def _cost_table(times: Samples, more: Samples, size: Size) -> str:
    rows = []
    for case in PAUSES:
        for name in (BARE, CONTROL, OURS):
            low, high = figures.interval(more[case, name])
            added = figures.pooled(more[case, name])
            rows.append(
                (
                    f"{name}, {case}",
                    f"{figures.pooled(times[case, name]):.0f}",
                    f"{added:+.1f}",
                    f"{low:+.1f} to {high:+.1f}",
                )
            )
    for part, title in PARTS.items():
        low, high = figures.interval(more[part, OURS])
        rows.append((title, "", f"{figures.pooled(more[part, OURS]):+.1f}", f"{low:+.1f} to {high:+.1f}"))
    worst = max(figures.pooled(more[case, OURS]) for case in PAUSES)
    return figures.table(
        f"A request with one query, in normal mode ({size.generations} x {size.rounds} rounds of "
        f"{size.requests} requests)",
        ("project", "µs, the least of a round", "µs more than without", "95 % interval"),
        rows,
        figures.verdict(
            f"at most {BAR_MICROSECONDS:g} µs", met=worst <= BAR_MICROSECONDS, figure=f"{worst:.1f} µs at worst"
        ),
    )


# -- the questions


def _questions_table(where: Place, size: Size) -> str:
    counts = {}
    with fleet(where.environment, size=1) as (operator,):
        counts["normal mode, pushed"] = _counted(where, size, threads=0)
        counts["normal mode, nothing pushed"] = _counted(where, size, threads=size.threads, BENCH_LISTEN="0")
        operator.ask("on")
        counts["read-only mode, nothing pushed"] = _counted(where, size, threads=size.threads, BENCH_LISTEN="0")
        operator.ask("off")
    pushed = counts["normal mode, pushed"]
    own = pushed["statements"] - pushed["requests"]
    rates = {title: _rate(count["asked"]) for title, count in counts.items()}
    worst = max(rates.values())
    return figures.table(
        f"What one process asks PostgreSQL in {size.seconds:g} s of requests, back to back",
        ("process", "threads", "requests", "catalog queries", "a second", "shortest between two, s"),
        [_questions_row(title, count) for title, count in counts.items()],
        figures.verdict("no query in normal mode", met=own == 0, figure=f"{own} beside the requests' own"),
        figures.verdict(
            f"at most {BAR_A_SECOND:g} a second where nothing is pushed",
            met=worst <= BAR_A_SECOND,
            figure=f"{worst:.2f}",
        ),
    )


def _counted(where: Place, size: Size, *, threads: int, **environment: str) -> dict[str, Any]:
    with _worker(where, OURS, **environment) as worker:
        worker.ask("settle", key=1)
        found: dict[str, Any] = worker.ask("count", seconds=size.seconds, threads=threads)
        return {**found, "threads": threads or 1}


def _questions_row(title: str, count: Mapping[str, Any]) -> tuple[str, ...]:
    shortest = min(_between(count["asked"]), default=None)
    return (
        title,
        str(count["threads"]),
        f"{count['requests']:,}",
        str(len(count["asked"])),
        f"{_rate(count['asked']):.2f}",
        "" if shortest is None else f"{shortest:.2f}",
    )


def _between(asked: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(asked)]


def _rate(asked: list[float]) -> float:
    return (len(asked) - 1) / (asked[-1] - asked[0]) if len(asked) > 1 else 0.0
