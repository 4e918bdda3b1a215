"""Medians, their intervals, and tables; pure."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from statistics import median

RESAMPLES = 500

Groups = Sequence[Sequence[float]]


def pooled(groups: Groups) -> float:
    """Return the median of all samples."""
    return median(sample for group in groups for sample in group)


def interval(groups: Groups) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the median.

    Groups are drawn first, then samples within them: processes started together share what their start left
    to chance (memory layout above all), so their samples are no independent witnesses.
    """
    chance = random.Random(0)
    medians = sorted(median(_drawn(groups, chance)) for _ in range(RESAMPLES))
    return medians[round(0.025 * (RESAMPLES - 1))], medians[round(0.975 * (RESAMPLES - 1))]


def shown(samples: Sequence[float], form: str) -> tuple[str, str]:
    """Return the median and its interval as cells."""
    low, high = interval([samples])
    return f"{median(samples):{form}}", f"{low:{form}} to {high:{form}}"


def seconds(samples: Sequence[float]) -> tuple[str, str, str]:
    """Return the median, its interval and the longest as cells."""
    return (*shown(samples, ".2f"), f"{max(samples):.2f}")


def _drawn(groups: Groups, chance: random.Random) -> list[float]:
    drawn = chance.choices(groups, k=len(groups))
    return [sample for group in drawn for sample in chance.choices(group, k=len(group))]


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], *verdicts: str) -> str:
    """Return a markdown table under its title, with the verdicts below."""
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n".join((f"\n### {title}\n", body, "", *(f"- {verdict}" for verdict in verdicts)))


def verdict(bar: str, *, met: bool, figure: str) -> str:
    """Return one line: the bar, whether it was met, and the figure it was held against."""
    return f"Bar: {bar}: **{'met' if met else 'missed'}** ({figure})."
