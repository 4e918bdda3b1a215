"""Part (c): what `import readonly_router` and its share of django.setup() add to a start, whole processes."""

from __future__ import annotations

import random
import subprocess
import sys
import time

from tests.bench import OURS, figures
from tests.bench.workers import ROOT, clean_environment, command

BAR_MILLISECONDS = 15
ROUNDS, QUICK_ROUNDS = 60, 1
# Read by the settings; starting connects to nothing.
_ENVIRONMENT = {
    "DATABASE_URL": "postgres://writer:password@127.0.0.1:5432/shop",
    "DB_READONLY_PASSWORD": "password",
}


def report(server: str, *, quick: bool) -> str:
    """Measure and return the table."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    print(f"import: {rounds} rounds", file=sys.stderr, flush=True)
    _round()  # compiles and reads the files
    results = [_round() for _ in range(rounds)]
    measured = [(title, _column(results, index)) for index, title in enumerate(_TITLES)]
    added = figures.pooled([measured[0][1]["added"]])
    return figures.table(
        f"Start ({rounds} rounds)",
        ("milliseconds", "bare", "with us", "added", "95 % interval"),
        [_row(title, column) for title, column in measured],
        figures.verdict(f"at most {BAR_MILLISECONDS} ms", met=added <= BAR_MILLISECONDS, figure=f"{added:.1f} ms"),
    )


_TITLES = ("import and django.setup()", "the same in processor time", "the whole process")
_Times = tuple[float, float, float]


def _round() -> dict[str, _Times]:
    """Return the times of a start of each, in random order."""
    return {variant: _start(variant) for variant in random.sample(["bare", OURS], 2)}


def _start(variant: str) -> _Times:
    environment = clean_environment({**_ENVIRONMENT, "BENCH_VARIANT": variant})
    began = time.perf_counter()
    done = subprocess.run(
        command("startup_worker"), cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    whole = (time.perf_counter() - began) * 1000
    inside, processor = map(float, done.stdout.split())
    return inside, processor, whole


def _column(results: list[dict[str, _Times]], index: int) -> dict[str, list[float]]:
    return {
        "bare": [result["bare"][index] for result in results],
        "ours": [result[OURS][index] for result in results],
        "added": [result[OURS][index] - result["bare"][index] for result in results],
    }


def _row(title: str, column: dict[str, list[float]]) -> tuple[str, ...]:
    low, high = figures.interval([column["added"]])
    medians = (f"{figures.pooled([column[name]]):.1f}" for name in ("bare", "ours", "added"))
    return (title, *medians, f"{low:.1f} to {high:.1f}")
