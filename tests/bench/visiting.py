"""Part (e): what the middleware costs a request in normal mode, and what a page costs while read-only."""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from dataclasses import dataclass

from tests.bench import OURS, figures
from tests.bench.fleet import shop
from tests.bench.workers import Worker

BAR_MICROSECONDS, BAR_RATIO = 30.0, 1.05
NONE = "none"
KINDS = ("sync", "async")


@dataclass(frozen=True, kw_only=True)
class Size:
    generations: int
    rounds: int
    requests: int
    flips: int
    visits: int


FULL = Size(generations=5, rounds=40, requests=100, flips=8, visits=40)
QUICK = Size(generations=1, rounds=1, requests=3, flips=1, visits=2)

# By what is measured; one list a generation.
Samples = dict[tuple[str, str], list[list[float]]]


def report(server: str, *, quick: bool) -> str:
    """Measure and return the tables."""
    size = QUICK if quick else FULL
    times, more, ratios = defaultdict(list), defaultdict(list), defaultdict(list)
    statements: dict[str, int] = {}
    counts: dict[str, set[tuple[int, int]]] = defaultdict(set)
    with shop(server) as where:
        environment = {**where.environment, "DJANGO_SETTINGS_MODULE": "tests.bench.visit_settings"}
        for number in range(size.generations):
            print(f"http: generation {number + 1} of {size.generations}", file=sys.stderr, flush=True)
            with Worker("visit_worker", environment) as worker:
                names = worker.ask("settle")
                _around(worker, names, size, times, more)
                statements.update({name: worker.ask("statements", name=name) for name in names})
                _pages(worker, size, ratios, counts)
    return "\n".join((_middleware_table(times, more, statements, size), _pages_table(ratios, counts, size)))


def _around(worker: Worker, names: list[str], size: Size, times: Samples, more: Samples) -> None:
    for kind in KINDS:
        for name in names:
            times[kind, name].append([])
            more[kind, name].append([])
        for _ in range(size.rounds):
            found = {
                name: worker.ask(kind, name=name, count=size.requests) for name in random.sample(names, len(names))
            }
            for name, least in found.items():
                times[kind, name][-1].append(least)
                more[kind, name][-1].append(least - found[NONE])


def _pages(worker: Worker, size: Size, ratios: Samples, counts: dict[str, set[tuple[int, int]]]) -> None:
    groups: dict[str, list[float]] = defaultdict(list)
    for _ in range(size.flips):
        before = worker.ask("pages", count=size.visits)
        worker.ask("throw", on=True)
        closed = worker.ask("pages", count=size.visits)
        worker.ask("throw", on=False)
        for title, page in before.items():
            groups[title].append(closed[title]["least"] / page["least"])
            counts[title].add((page["statements"], closed[title]["statements"]))
    for title, group in groups.items():
        ratios[title, OURS].append(group)


def _middleware_table(times: Samples, more: Samples, statements: dict[str, int], size: Size) -> str:
    rows = []
    for kind, name in times:
        low, high = figures.interval(more[kind, name])
        rows.append(
            (
                f"{name}, {kind}",
                f"{figures.pooled(times[kind, name]):.0f}",
                f"{figures.pooled(more[kind, name]):+.1f}",
                f"{low:+.1f} to {high:+.1f}",
            )
        )
    worst = max(figures.pooled(more[kind, OURS]) for kind in KINDS)
    return figures.table(
        f"A request for a view that does nothing, in normal mode ({size.generations} x {size.rounds} rounds of "
        f"{size.requests} requests)",
        ("middleware", "µs, the least of a round", "µs more than none", "95 % interval"),
        rows,
        figures.verdict(
            f"at most {BAR_MICROSECONDS:g} µs", met=worst <= BAR_MICROSECONDS, figure=f"{worst:.1f} µs at worst"
        ),
        figures.verdict("no query", met=statements[OURS] == 0, figure=f"{statements[OURS]} in 100 requests"),
    )


def _pages_table(ratios: Samples, counts: dict[str, set[tuple[int, int]]], size: Size) -> str:
    rows, same = [], True
    for title, pairs in counts.items():
        low, high = figures.interval(ratios[title, OURS])
        same = same and all(before == closed for before, closed in pairs)
        told = " or ".join(f"{before} and {closed}" for before, closed in sorted(pairs))
        rows.append((title, f"{figures.pooled(ratios[title, OURS]):.3f}", f"{low:.3f} to {high:.3f}", told))
    worst = max(figures.pooled(ratios[title, OURS]) for title in counts)
    return figures.table(
        f"A page of the example site while switched read-only, as a ratio to the same page before "
        f"({size.generations} x {size.flips} times on and off)",
        ("page", "ratio", "95 % interval", "statements before and during"),
        rows,
        figures.verdict(f"at most {BAR_RATIO:g}", met=worst <= BAR_RATIO, figure=f"{worst:.3f} at worst"),
        figures.verdict("the same number of statements", met=same, figure="see the table"),
    )
