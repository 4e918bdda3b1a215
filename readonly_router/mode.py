"""The mode as a value: what decides it now, strongest first (scope, then process, then the switch)."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar, Token
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from django.db import DEFAULT_DB_ALIAS

from . import conf
from .conf import ProcessMode


class Scope(Enum):
    """What the innermost `read_only()` or `writable()` block asks for."""

    READ_ONLY = "read-only"
    WRITABLE = "writable"


@dataclass(frozen=True, kw_only=True)
class Status:
    """The mode of one writer's alias and what decided it.

    `source` is `scope`, `process`, `switch` or `default`. `reason` is empty when writable, the operator's own
    words where the switch decided, else one sentence with the next step. `since` and `eta` are aware datetimes
    and `by` the operator, of a switch alone.
    """

    read_only: bool
    source: str
    reason: str = ""
    locked: bool = False
    alias: str = "default"
    since: datetime | None = None
    eta: datetime | None = None
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class Switch:
    """What the operator said who switched a writer read-only."""

    since: datetime | None = None
    reason: str = ""
    eta: datetime | None = None
    by: str = ""


# The scopes of this context, innermost last: a value, so that contexts that share an object share no state.
_scopes: ContextVar[tuple[Scope, ...]] = ContextVar("readonly_router_scopes", default=())
# What a request found at its start, by alias: it keeps that to its end. Shared with the threads that serve it.
_pins: ContextVar[dict[str, bool] | None] = ContextVar("readonly_router_pins", default=None)
_process: ProcessMode | None = None
# What the process alone says, kept at hand for every look-up of a connection.
_process_is_read_only: bool | None = None
_process_follows = False
# The switches that this process knows to be on, by writer alias.
_switches: dict[str, Switch] = {}


def scope() -> Scope | None:
    """Return the innermost scope of this context."""
    scopes = _scopes.get()
    return scopes[-1] if scopes else None


def enter_scope(wanted: Scope) -> None:
    """Add a scope to this context."""
    _scopes.set((*_scopes.get(), wanted))


def leave_scope() -> None:
    """Take the innermost scope away again."""
    _scopes.set(_scopes.get()[:-1])


def process() -> ProcessMode:
    """Return the process's mode, read from the environment the first time."""
    global _process  # noqa: PLW0603 - the process's mode is global by nature
    if _process is None:
        _process = conf.process_mode()
    return _process


def set_process(wanted: ProcessMode | None) -> None:
    """Set the process's mode; None reads the environment again."""
    global _process, _process_is_read_only
    _process, _process_is_read_only = wanted, None


def _settle_process() -> bool:
    global _process_is_read_only, _process_follows  # noqa: PLW0603 - the process's mode is global by nature
    _process_is_read_only = process() in {ProcessMode.READ_ONLY, ProcessMode.LOCKED}
    _process_follows = process() is ProcessMode.FOLLOW
    return _process_is_read_only


def follows() -> bool:
    """Tell whether the switch has a say here: no scope, and a process that follows it."""
    if _process_is_read_only is None:
        _settle_process()
    return _process_follows and not _scopes.get()


def is_read_only(alias: str = DEFAULT_DB_ALIAS) -> bool:
    """Tell whether a writer's alias leads to its twin here and now, as far as this process knows."""
    if scopes := _scopes.get():
        return scopes[-1] is Scope.READ_ONLY
    if _settle_process() if _process_is_read_only is None else _process_is_read_only:
        return True
    if not _process_follows:
        return False
    pins = _pins.get()
    return alias in _switches if pins is None else pins.get(alias, alias in _switches)


def pin(aliases: Iterable[str]) -> Token[dict[str, bool] | None]:
    """Keep what the switches say now for this context; `unpin` ends that."""
    return _pins.set({alias: alias in _switches for alias in aliases})


def unpin(token: Token[dict[str, bool] | None]) -> None:
    """Let this context follow the switches again, and what it began that is not over yet."""
    if pins := _pins.get():
        pins.clear()
    _pins.reset(token)


def loosen(alias: str) -> None:
    """Let a pinned context follow the switch of one alias: the session it wrote through is no more."""
    if pins := _pins.get():
        pins.pop(alias, None)


def switch(alias: str) -> Switch | None:
    """Return what this process knows of the alias's switch: None is off."""
    return _switches.get(alias)


def set_switch(alias: str, known: Switch | None) -> None:
    """Note what the alias's switch says; None is off."""
    if known is None:
        _switches.pop(alias, None)
    else:
        _switches[alias] = known


def get_status(alias: str = DEFAULT_DB_ALIAS) -> Status:
    """Return the mode with its source and reason, as far as this process knows; asks no database."""
    asked, owner = scope(), process()
    locked = owner is ProcessMode.LOCKED
    if asked is Scope.WRITABLE:
        return Status(read_only=False, source="scope", alias=alias)
    if asked is Scope.READ_ONLY:
        return Status(read_only=True, source="scope", reason=_REASONS["scope"], locked=locked, alias=alias)
    if owner is ProcessMode.FOLLOW:
        return _followed(alias)
    return Status(
        read_only=owner is not ProcessMode.WRITABLE,
        source="process",
        reason=_REASONS.get(owner, ""),
        locked=locked,
        alias=alias,
    )


def _followed(alias: str) -> Status:
    if not is_read_only(alias):
        return Status(read_only=False, source="default", alias=alias)
    # A pinned request may outlive the switch it began under.
    known = _switches.get(alias, Switch())
    return Status(
        read_only=True,
        source="switch",
        reason=known.reason,
        alias=alias,
        since=known.since,
        eta=known.eta,
        by=known.by,
    )


def explanation(alias: str = DEFAULT_DB_ALIAS) -> str:
    """Return why the alias is read-only here and what to do, for an error; empty when it is writable."""
    status = get_status(alias)
    if status.source != "switch":
        return status.reason
    since = f" since {status.since:%Y-%m-%d %H:%M %Z}" if status.since else ""
    why = f" ({status.reason})" if status.reason else ""
    expected = f"expected to end at {status.eta:%Y-%m-%d %H:%M %Z}, retry then" if status.eta else "retry later"
    return f"'{alias}' is switched read-only{since}{why}; {expected}, or end it with manage.py read_only off."


_REASONS: dict[str | ProcessMode, str] = {
    "scope": "This code runs inside read_only(); write after it, or inside writable().",
    ProcessMode.READ_ONLY: (
        "This process is read-only: restart it without DB_READ_ONLY, call enable_writes(), "
        "or write inside writable()."
    ),
    ProcessMode.LOCKED: "DB_READ_ONLY=locked: this process has no writer login; write from another process.",
}
