"""The read-only window as everybody else sees it: pages, banners, problem details, the status endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .. import conf
from ..connections.asking import get_status
from ..mode import Status


@dataclass(frozen=True, kw_only=True)
class Window:
    """What is shown of a status, true while the site is read-only.

    `reason` is the operator's words: what a process says of itself is for its logs, not for visitors. `eta` is
    None once it has passed; `retry_after` is in seconds.
    """

    alias: str
    read_only: bool
    known: bool = True
    reason: str = ""
    since: datetime | None = None
    eta: datetime | None = None
    retry_after: int

    def __bool__(self) -> bool:
        return self.read_only

    def as_json(self) -> dict[str, Any]:
        """Return the reason and the times (ISO 8601) as JSON has them."""
        return {
            "reason": self.reason,
            "since": self.since.isoformat() if self.since else None,
            "eta": self.eta.isoformat() if self.eta else None,
            "retry_after": self.retry_after,
        }


def window_of(status: Status) -> Window:
    """Return what is shown of a status."""
    ahead = (status.eta - datetime.now(timezone.utc)).total_seconds() if status.eta else 0
    return Window(
        alias=status.alias,
        read_only=status.read_only,
        known=status.known,
        reason=status.reason if status.source == "switch" else "",
        since=status.since,
        eta=status.eta if ahead > 0 else None,
        retry_after=max(1, round(ahead)) if ahead > 0 else conf.retry_after(),
    )


def window() -> Window:
    """Return the window as it is now; sends no query in normal mode."""
    return window_of(get_status(conf.primary()))
