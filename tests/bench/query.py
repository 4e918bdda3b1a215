"""Part (a): a query's time in each variant over its time in the bare project, in paired small rounds."""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.bench import OURS, figures
from tests.bench.place import Place, place
from tests.bench.workers import Worker

BARE, CONTROL = "bare", "bare, a second process"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A project; `read_only` is what its read-only process adds to its environment, None: it has no such mode."""

    name: str
    settings: str
    read_only: dict[str, str] | None = None


VARIANTS = (
    Variant(name=BARE, settings="bare"),
    Variant(name=CONTROL, settings="bare"),
    Variant(name=OURS, settings=OURS, read_only={"DB_READ_ONLY": "1"}),
    Variant(name="django-read-only", settings="django-read-only", read_only={"DJANGO_READ_ONLY": "1"}),
    Variant(name="django-multidb-router", settings="django-multidb-router"),
    Variant(name="django-replicated", settings="django-replicated", read_only={"BENCH_STATE": "slave"}),
)
ALTERNATIVES = tuple(variant.name for variant in VARIANTS[3:])


@dataclass(frozen=True, kw_only=True)
class Operation:
    title: str
    question: str
    read_only: bool = False
    bar: float = 1.02


OPERATIONS = (
    Operation(title="get, normal mode", question="get"),
    Operation(title="save, normal mode", question="save"),
    Operation(title="a block of one get, normal mode", question="block", bar=1.03),
    Operation(title="get, read-only mode", question="get", read_only=True),
)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured.

    Each generation starts its processes anew, for each process has a small speed of its own by chance. Rounds are
    many and short, so that what else the machine does falls on all variants of a round alike.
    """

    generations: int
    rounds: int
    queries: int


FULL = Size(generations=12, rounds=50, queries=20)
QUICK = Size(generations=1, rounds=3, queries=20)

# (operation's title, variant's name) -> one list a generation
Samples = dict[tuple[str, str], list[list[float]]]


@dataclass(frozen=True)
class Results:
    """Microseconds, and ratios to the bare process in the same round."""

    wall: Samples = field(default_factory=lambda: defaultdict(list))
    ratio: Samples = field(default_factory=lambda: defaultdict(list))
    processor: Samples = field(default_factory=lambda: defaultdict(list))


def report(server: str, *, quick: bool) -> str:
    """Measure and return the tables."""
    size, results = QUICK if quick else FULL, Results()
    with place(server) as where:
        _prepare(where)
        for number in range(size.generations):
            print(f"query: generation {number + 1} of {size.generations}", file=sys.stderr, flush=True)
            _generation(where, size, results)
    return "\n".join(_table(operation, results, size) for operation in OPERATIONS)


def _prepare(where: Place) -> None:
    with Worker("query_worker", {**where.environment, "BENCH_VARIANT": "bare"}) as worker:
        worker.ask("migrate")
        worker.ask("rows", count=2 * len(VARIANTS))
    with Worker("query_worker", {**where.environment, "BENCH_VARIANT": OURS}) as worker:
        worker.ask("provision")


def _generation(where: Place, size: Size, results: Results) -> None:
    with ExitStack() as stack:
        processes = _start(where, stack)
        for samples in (results.wall, results.ratio, results.processor):
            for operation in OPERATIONS:
                for variant in VARIANTS:
                    samples[operation.title, variant.name].append([])
        for _ in range(size.rounds):
            for operation in random.sample(OPERATIONS, len(OPERATIONS)):
                _round(processes, operation, size, results)


Processes = dict[tuple[str, bool], tuple[Worker, int]]


def _start(where: Place, stack: ExitStack) -> Processes:
    """Start every process; each has a row of its own, so that none prunes after another."""
    found: Processes = {}
    for number, variant in enumerate(random.sample(VARIANTS, len(VARIANTS))):
        for read_only in (False, True):
            if read_only and variant.read_only is None:
                found[variant.name, True] = found[variant.name, False]
                continue
            more = (variant.read_only or {}) if read_only else {}
            environment = {**where.environment, "BENCH_VARIANT": variant.settings, **more}
            worker = stack.enter_context(Worker("query_worker", environment))
            found[variant.name, read_only] = (worker, 1 + 2 * number + read_only)
    for (_, read_only), (worker, key) in found.items():
        for operation in OPERATIONS:
            if operation.read_only == read_only:
                worker.ask(operation.question, key=key, count=100)
        worker.ask("ready")
    return found


def _round(processes: Processes, operation: Operation, size: Size, results: Results) -> None:
    answers = {}
    for variant in random.sample(VARIANTS, len(VARIANTS)):
        worker, key = processes[variant.name, operation.read_only]
        answers[variant.name] = worker.ask(operation.question, key=key, count=size.queries)
    for name, answer in answers.items():
        place_of = (operation.title, name)
        results.wall[place_of][-1].append(answer["wall"])
        results.ratio[place_of][-1].append(answer["wall"] / answers[BARE]["wall"])
        results.processor[place_of][-1].append(answer["processor"] / answers[BARE]["processor"])


def _table(operation: Operation, results: Results, size: Size) -> str:
    heads = ("project", "median µs", "over bare", "95 % interval", "client's processor time over bare")
    rows = []
    for variant in VARIANTS:
        place_of = (operation.title, variant.name)
        low, high = figures.interval(results.ratio[place_of])
        rows.append(
            (
                variant.name,
                f"{figures.pooled(results.wall[place_of]):.1f}",
                f"{figures.pooled(results.ratio[place_of]):.4f}",
                f"{low:.4f} to {high:.4f}",
                f"{figures.pooled(results.processor[place_of]):.4f}",
            )
        )
    ratios = {name: figures.pooled(results.ratio[operation.title, name]) for name in (OURS, *ALTERNATIVES)}
    lowest = min(ratios, key=lambda name: ratios[name])
    return figures.table(
        f"{operation.title} ({size.generations} x {size.rounds} rounds of {size.queries} queries)",
        heads,
        rows,
        figures.verdict(
            f"at most {operation.bar}", met=ratios[OURS] <= operation.bar, figure=f"{ratios[OURS]:.4f}"
        ),
        figures.verdict("the lowest of the four", met=lowest == OURS, figure=f"{lowest} {ratios[lowest]:.4f}"),
    )
