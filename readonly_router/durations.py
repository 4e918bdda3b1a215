"""Durations in the form people write: 90s, 5m, 1h30m, or a number of seconds."""

from __future__ import annotations

import re

from .escaping import shortened

# A moment that never was, on a monotonic clock, which begins anywhere: on Linux at boot.
NEVER = float("-inf")

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
# Nothing that is waited for lasts longer, and a time so far away is still one.
LONGEST_DAYS = 366


def seconds(written: object) -> float:
    """Return a duration in seconds; raise ValueError with the accepted forms for anything else."""
    found = _number(written) if isinstance(written, int | float) else _parsed(written)
    if found is None:
        raise ValueError(
            f"{shortened(written)} is not a duration; write 90s, 5m, 1h30m, or a number of seconds, up to "
            f"{LONGEST_DAYS}d."
        )
    return found


def _number(given: float) -> float | None:
    # True is an int; nan is neither below nor above; an int may be too large for a float.
    return float(given) if not isinstance(given, bool) and 0 <= given <= LONGEST_DAYS * 86400 else None


def _parsed(given: object) -> float | None:
    text = given.strip().lower() if isinstance(given, str) else ""
    if _NUMBER.fullmatch(text):
        return _number(float(text))
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        return None
    return _number(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def written(duration: float) -> str:
    """Return a duration as people write it, to the second."""
    minutes, rest = divmod(round(duration), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if number]
    return "".join(parts) or "0s"
