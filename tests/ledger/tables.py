"""A run's result for people: a table of what was done, and of each claim how often it did not hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tests.ledger.balance import CLAIMS
from tests.ledger.throws import Result


def table(results: Mapping[str, Result]) -> Iterator[str]:
    """Return the lines of a table with a column for each run."""
    width = max(len(name) for name in (*CLAIMS, *(line for line, _ in _deeds(results.values())))) + 2
    yield _line("", results, width)
    for name, figures in (*_deeds(results.values()), *_claims(results.values())):
        yield _line(name, figures, width)


def _line(name: str, figures: Iterable[object], width: int) -> str:
    return f"{name:<{width}}" + "".join(f"{figure!s:>14}" for figure in figures)


def _deeds(results: Iterable[Result]) -> Iterator[tuple[str, list[int]]]:
    """Return what was done, so that it shows that there was something to lose."""
    runs = list(results)
    yield "throws", [run.throws for run in runs]
    yield "receipts", [run.receipts for run in runs]
    yield "undone at the deadline", [run.undone for run in runs]
    yield "commands killed", [run.killed for run in runs]
    for fault in sorted({name for run in runs for name in run.faults}):
        yield f"fault: {fault}", [run.faults[fault] for run in runs]
    yield "sessions ended to verify", [run.ended for run in runs]
    yield "sequences skipped by a crash", [run.skipped for run in runs]
    yield "rows in the table", [run.rows for run in runs]
    yield "rows acknowledged", [len(run.account.acknowledged) for run in runs]
    yield "writes refused", [run.account.refusals.total() for run in runs]
    yield "reads answered", [run.account.answers.total() for run in runs]
    yield "lost to an outage, excused", [run.excused for run in runs]


def _claims(results: Iterable[Result]) -> Iterator[tuple[str, list[int]]]:
    runs = list(results)
    for claim in CLAIMS:
        yield claim.upper(), [run.broken(claim) for run in runs]
