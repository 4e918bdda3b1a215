"""How the switch of each pair stands, as values for a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import conf, mode
from ..errors import ReadOnlyRouterError
from ..models import Event
from ..switch import reports
from ..switch.spec import State

SHOWN_EVENTS = 15


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One writer: how its switch stands, or `error`, which says why that is not known."""

    alias: str
    twin: str
    state: State | None = None
    error: str = ""

    @property
    def sessions(self) -> list[tuple[str, int]]:
        return sorted(self.state.sessions.items()) if self.state else []

    @property
    def is_overdue(self) -> bool:
        return bool(self.state and self.state.eta and self.state.eta < timezone.now())


@dataclass(frozen=True, kw_only=True)
class Board:
    """Everything an operator is to see before acting; `process` is what this process says whatever the switch."""

    pairs: tuple[Pair, ...]
    process: str = ""
    locked: bool = False
    at: datetime = field(default_factory=timezone.now)

    @property
    def writable(self) -> tuple[str, ...]:
        """Return the aliases that can be switched: on that was not proved is thrown again."""
        return tuple(p.alias for p in self.pairs if p.state and not (p.state.read_only and p.state.proved))

    @property
    def switched(self) -> tuple[str, ...]:
        """Return the aliases of which it is known that the switch is on."""
        return tuple(p.alias for p in self.pairs if p.state and p.state.read_only)

    @property
    def read_only(self) -> tuple[str, ...]:
        """Return the aliases that can be opened again, those that are not known included."""
        return tuple(p.alias for p in self.pairs if p.state is None or p.state.read_only)


def board() -> Board:
    """Ask PostgreSQL how each pair stands."""
    owner = mode.process()
    return Board(
        pairs=tuple(_pair(alias, twin) for alias, twin in conf.twins().items()),
        process="" if owner is conf.ProcessMode.FOLLOW else owner.value,
        locked=owner is conf.ProcessMode.LOCKED,
    )


def _pair(alias: str, twin: str) -> Pair:
    try:
        state = reports.state_of(alias)
    except ReadOnlyRouterError as error:
        return Pair(alias=alias, twin=twin, error=str(error))
    return Pair(alias=alias, twin=twin, state=state)


def events() -> list[Event]:
    """Return the last events of all pairs, newest first; none where their table is not there yet."""
    found = [event for alias in conf.twins() for event in _events(alias)]
    return sorted(found, key=lambda event: event.at, reverse=True)[:SHOWN_EVENTS]


def _events(alias: str) -> Iterator[Event]:
    try:
        yield from Event.objects.using(alias).filter(alias=alias)[:SHOWN_EVENTS]
    except DatabaseError:
        return


def told(event: Event) -> str:
    """Return what an act led to, in a few words."""
    # The site's own table: what no command wrote is shown all the same, for this page throws the switch.
    details = event.details if isinstance(event.details, dict) else {}
    if event.kind == "on":
        return _("proved") if event.receipt is not None else _("not proved")
    if event.kind == "exec":
        status = details.get("status", "?")
        return _("%(command)s: exit status %(status)s") % {
            "command": " ".join(map(str, _list(details.get("command")))),
            "status": status,
        }
    if event.kind == "migrate":
        applied = details.get("applied")
        return _("%(applied)s of %(planned)s applied") % {
            "applied": "?" if applied is None else len(_list(applied)),
            "planned": len(_list(details.get("plan"))),
        }
    return ""


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []
