"""When something last was, by alias, on a clock that is handed in: "never yet" is longer ago than anything."""

from __future__ import annotations

import time
from collections.abc import Callable

# A monotonic clock begins anywhere, on Linux at boot: 0 is a moment like another.
NEVER = float("-inf")


class Moments:
    """The last moment of each alias, in seconds of one clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}

    def note(self, alias: str, moment: float | None = None) -> float:
        """Note that it is now, or was at a moment; return which. What is later stands."""
        moment = self._clock() if moment is None else moment
        self._last[alias] = max(moment, self._last.get(alias, NEVER))
        return moment

    def within(self, alias: str, seconds: float) -> bool:
        """Return whether it was less than so many seconds ago."""
        return self._clock() - self._last.get(alias, NEVER) < seconds

    def clear(self) -> None:
        """Know of none."""
        self._last.clear()
