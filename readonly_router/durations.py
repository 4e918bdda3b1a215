"""Durations in the form people write: 90s, 5m, 1h30m, or a number of seconds."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")


def seconds(written: str | float) -> float:
    """Return a duration in seconds; raise ValueError with the accepted forms for anything else."""
    if isinstance(written, int | float) and not isinstance(written, bool) and written >= 0:
        return float(written)
    text = str(written).strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        raise ValueError(f"{written!r} is not a duration; write 90s, 5m, 1h30m, or a number of seconds.")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def written(duration: float) -> str:
    """Return a duration as people write it, to the second."""
    minutes, rest = divmod(round(duration), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if number]
    return "".join(parts) or "0s"
