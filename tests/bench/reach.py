"""How long the switch takes to the last process of a fleet, over the bare LISTEN/NOTIFY that carries it."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import psycopg

from tests.bench import OURS, figures
from tests.bench.fleet import CHANNEL, fleet, receive_all, send_all
from tests.bench.place import Place
from tests.bench.workers import Worker
from tests.harness.pairs import by_way_of
from tests.harness.pgbouncer import has_pooler, pooler

BAR, POOLED_BAR_SECONDS = 3.0, 1.0
# What a process does at a pace, where nothing can be waited for.
PACE_SECONDS = 0.05
STEPS = ("heard", "noticed", "connected", "refused")
BARE, LOGIN, PACED = "bare LISTEN/NOTIFY", "LISTEN/NOTIFY and a login", f"{OURS}, writing at a pace"

Times = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Size:
    processes: int
    rounds: int
    pooled_rounds: int


FULL = Size(processes=16, rounds=25, pooled_rounds=15)
QUICK = Size(processes=2, rounds=1, pooled_rounds=1)


@dataclass(frozen=True)
class Rounds:
    """Milliseconds from the commit to each step of each process, one list a round, by way."""

    steps: dict[tuple[str, str], list[list[float]]] = field(default_factory=lambda: defaultdict(list))

    def note(self, way: str, committed: float, answers: Sequence[Times]) -> None:
        # It was committed before anybody could hear of it: on a busy machine who commits may be told later.
        since = min([committed, *(min(answer.values()) for answer in answers)])
        for step in STEPS:
            # Through a pooler PostgreSQL's refusal may be the first news.
            times = [1000 * (answer[step] - since) for answer in answers if step in answer]
            self.steps[way, step] += [times] if times else []

    def last(self, way: str, step: str = "refused") -> list[float]:
        """Return when the last process of each round was there."""
        return [max(times) for times in self.steps[way, step]]

    def ratio(self, way: str) -> list[float]:
        """Return how often the bare round trip of the same round it took."""
        return [ours / bare for ours, bare in zip(self.last(way), self.last(BARE), strict=True)]


def report(where: Place, *, quick: bool) -> str:
    """Measure and return the tables."""
    size, direct, pooled = QUICK if quick else FULL, Rounds(), Rounds()
    with fleet(where.environment, size=size.processes + 1) as (operator, *workers):
        for worker in workers:
            worker.ask("open")
        _measure(where, operator, workers, size, direct)
    tables = [_table(direct, size), _profile(direct, size)]
    if has_pooler():
        _measure_pooled(where, size, pooled)
        tables.append(_pooled_table(pooled, size))
    return "\n".join(tables)


# -- the rounds


def _measure(where: Place, operator: Worker, workers: list[Worker], size: Size, results: Rounds) -> None:
    with psycopg.connect(where.admin_url, autocommit=True) as connection:
        ways: list[Callable[[], None]] = [
            lambda: _bare(BARE, "hear", connection, workers, results),
            lambda: _bare(LOGIN, "hear and log in", connection, workers, results),
            lambda: _ours(OURS, "wait", operator, workers, results),
            lambda: _ours(PACED, "pace", operator, workers, results, pause=PACE_SECONDS),
        ]
        for number in range(size.rounds):
            print(f"reach: round {number + 1} of {size.rounds}", file=sys.stderr, flush=True)
            for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
                way()


def _bare(way: str, question: str, connection: psycopg.Connection, workers: list[Worker], results: Rounds) -> None:
    send_all(workers, question)
    connection.execute(f"NOTIFY {CHANNEL}".encode())
    results.note(way, time.monotonic(), receive_all(workers))


def _ours(
    way: str, question: str, operator: Worker, workers: list[Worker], results: Rounds, **arguments: float
) -> None:
    for key, worker in enumerate(workers, start=1):
        worker.send("ready", key=key)
    receive_all(workers)
    send_all(workers, question, **arguments)
    committed = operator.ask("on")["committed"]
    results.note(way, committed, receive_all(workers))
    operator.ask("off")


def _measure_pooled(where: Place, size: Size, results: Rounds) -> None:
    with pooler(where.server) as bouncer:
        through = {name: by_way_of(url, bouncer) for name, url in where.environment.items()}
        environment = {**through, "BENCH_ADMIN_URL": where.admin_url, "BENCH_POOLED": "1"}
        with fleet(environment, size=size.processes + 1) as (operator, *workers):
            for number in range(size.pooled_rounds):
                print(f"reach: round {number + 1} of {size.pooled_rounds} pooled", file=sys.stderr, flush=True)
                _ours(OURS, "pace", operator, workers, results, pause=PACE_SECONDS)


# -- the tables


def _table(results: Rounds, size: Size) -> str:
    heads = ("the last process was refused", "median ms", "95 % interval", "over bare", "95 % interval")
    rows = []
    for way, title in (
        (BARE, f"{BARE}: heard, and one write refused on an open session"),
        (LOGIN, f"{LOGIN}: psycopg alone, no mode, no Django"),
        (OURS, f"{OURS}, waiting for its connection"),
        (PACED, f"{PACED} of {1000 * PACE_SECONDS:.0f} ms"),
    ):
        rows.append((title, *figures.shown(results.last(way), ".1f"), *figures.shown(results.ratio(way), ".2f")))
    ratio = median(results.ratio(OURS))
    floor = median(ours / login for ours, login in zip(results.last(OURS), results.last(LOGIN), strict=True))
    return figures.table(
        f"Reach: from the commit of `on` to the first refused write in the last of {size.processes} processes "
        f"({size.rounds} rounds)",
        heads,
        rows,
        figures.verdict(f"at most {BAR:g} times bare LISTEN/NOTIFY", met=ratio <= BAR, figure=f"{ratio:.2f}"),
        f"Over LISTEN/NOTIFY and a login, which the twin's first query needs: {floor:.2f}.",
    )


def _profile(results: Rounds, size: Size) -> str:
    says = {
        "heard": "the notification arrived",
        "noticed": "the catalog was asked, and what the operator said",
        "connected": "logged in as the twin",
        "refused": "the write was refused",
    }
    rows = [
        (says[step], *_of_the_round(results.steps[OURS, step]), _last_of(results.steps[LOGIN, step]))
        for step in STEPS
    ]
    heads = ("milliseconds since the commit", "first process", "median process", "last process", f"last: {LOGIN}")
    return figures.table(f"Where the reach goes ({size.processes} processes at once)", heads, rows)


def _of_the_round(rounds: Sequence[Sequence[float]]) -> tuple[str, ...]:
    kinds: tuple[Callable[[Sequence[float]], float], ...] = (min, median, max)
    return tuple(f"{median(kind(times) for times in rounds):.1f}" for kind in kinds)


def _last_of(rounds: Sequence[Sequence[float]]) -> str:
    return f"{median(max(times) for times in rounds):.1f}" if rounds else ""


def _pooled_table(results: Rounds, size: Size) -> str:
    heads = ("the last process", "median ms", "95 % interval", "longest")
    rows = [
        (step, *figures.shown(results.last(OURS, step), ".0f"), f"{max(results.last(OURS, step)):.0f}")
        for step in STEPS[1:]
        if results.steps[OURS, step]
    ]
    seconds = median(results.last(OURS)) / 1000
    return figures.table(
        f"Reach through PgBouncer in transaction pooling ({size.processes} processes, "
        f"{size.pooled_rounds} rounds)",
        heads,
        rows,
        figures.verdict(
            f"at most {POOLED_BAR_SECONDS:g} s", met=seconds <= POOLED_BAR_SECONDS, figure=f"{seconds:.2f} s"
        ),
    )
