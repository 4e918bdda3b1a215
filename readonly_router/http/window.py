"""The read-only window as templates see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from .. import conf
from ..connections import get_status
from .responses import retry_after, shown_reason


@dataclass(frozen=True, kw_only=True)
class Window:
    """True in a template while the site is read-only; `eta` is None once it has passed."""

    read_only: bool
    reason: str = ""
    since: datetime | None = None
    eta: datetime | None = None
    retry_after: int = 0

    def __bool__(self) -> bool:
        return self.read_only


def window() -> Window:
    """Return the window as it is now; sends no query in normal mode."""
    status = get_status(conf.primary())
    if not status.read_only:
        return Window(read_only=False)
    return Window(
        read_only=True,
        reason=shown_reason(status),
        since=status.since,
        eta=status.eta if status.eta and status.eta > datetime.now(timezone.utc) else None,
        retry_after=retry_after(status),
    )
