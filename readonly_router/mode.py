"""The mode as a value: what decides it now, strongest first (scope, then process, then the switch)."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextvars import ContextVar, Token
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from django.core.signals import setting_changed
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
    and `by` the operator, of a switch alone. `known` is False where the switch decides and this process could not
    ask for it yet: it may be on.
    """

    read_only: bool
    source: str
    reason: str = ""
    locked: bool = False
    alias: str = "default"
    since: datetime | None = None
    eta: datetime | None = None
    by: str = ""
    known: bool = True


@dataclass(frozen=True, kw_only=True)
class Switch:
    """What the operator said who switched a writer read-only."""

    since: datetime | None = None
    reason: str = ""
    eta: datetime | None = None
    by: str = ""


# The scopes of this context, innermost last: a value, so that contexts that share an object share no state.
_scopes: ContextVar[tuple[Scope, ...]] = ContextVar("readonly_router_scopes", default=())
# What a request found at its start, at which generation: it keeps that to its end. Shared with the threads that
# serve it.
_Pinned = tuple[int, dict[str, bool]]
_pins: ContextVar[_Pinned] = ContextVar("readonly_router_pins", default=(0, {}))
_process: ProcessMode | None = None
# The switches that this process knows to be on, by writer alias.
_switches: dict[str, Switch] = {}

# Another number after each change of the process's mode, of a switch, or of the pairs: what was concluded at one
# holds as long as `here()` is the same, which is spelt out, not called, where it is asked for every query.
generation = 1
# The generation at which no alias is read-only; 0 where one may be.
open_at = 0
_changing = threading.Lock()
# What sets this context apart: 0 is nothing, a negative number is a scope's, a positive one the generation that
# the request was pinned at. At that its pins say what the switches say; afterwards nothing is kept.
_apart: ContextVar[int] = ContextVar("readonly_router_apart", default=0)
apart = _apart.get


def here() -> int:
    """Return the generation that holds in this context; 0: what is concluded here is not to be kept."""
    own = apart()
    return 0 if 0 < own != generation else own or generation


def _begin_generation() -> None:
    """Begin another generation, after what changed has: whoever sees the number sees the change."""
    global generation, open_at  # noqa: PLW0603 - the process's mode is global by nature
    with _changing:
        open_at, generation = 0, generation + 1
        is_open = _process is ProcessMode.WRITABLE or (_process is ProcessMode.FOLLOW and not _switches)
        open_at = generation if is_open else 0


def _pairs_changed(*, setting: str, **_: Any) -> None:
    if setting in {"READONLY_ROUTER_PAIRS", "READONLY_ROUTER_REPLICAS"}:
        _begin_generation()
        _settle_context()


setting_changed.connect(_pairs_changed)


def _settle_context() -> None:
    # A scope's number is of this generation too, which may have other pairs than the scope before.
    scopes = _scopes.get()
    _apart.set(-2 * generation - (scopes[-1] is Scope.READ_ONLY) if scopes else _pins.get()[0])


def scope() -> Scope | None:
    """Return the innermost scope of this context."""
    scopes = _scopes.get()
    return scopes[-1] if scopes else None


def enter_scope(wanted: Scope) -> None:
    """Add a scope to this context."""
    _scopes.set((*_scopes.get(), wanted))
    _settle_context()


def leave_scope() -> None:
    """Take the innermost scope away again."""
    _scopes.set(_scopes.get()[:-1])
    _settle_context()


def process() -> ProcessMode:
    """Return the process's mode, read from the environment the first time."""
    global _process  # noqa: PLW0603 - the process's mode is global by nature
    if _process is None:
        _process = conf.process_mode()
        _begin_generation()
    return _process


def set_process(wanted: ProcessMode | None) -> None:
    """Set the process's mode; None reads the environment again."""
    global _process  # noqa: PLW0603 - the process's mode is global by nature
    _process = wanted
    _begin_generation()


def follows() -> bool:
    """Return whether the switch has a say here: no scope, and a process that follows it."""
    return process() is ProcessMode.FOLLOW and not _scopes.get()


def is_read_only(alias: str = DEFAULT_DB_ALIAS) -> bool:
    """Return whether a writer's alias leads to its twin here and now, as far as this process knows."""
    if scopes := _scopes.get():
        return scopes[-1] is Scope.READ_ONLY
    if process() is not ProcessMode.FOLLOW:
        return process() is not ProcessMode.WRITABLE
    return _pins.get()[1].get(alias, alias in _switches)


def pin(aliases: Iterable[str]) -> Token[_Pinned]:
    """Keep what the switches say now for this context; `unpin` ends that."""
    process()
    token = _pins.set((generation, {alias: alias in _switches for alias in aliases}))
    _settle_context()
    return token


def unpin(token: Token[_Pinned]) -> None:
    """Let this context follow the switches again, and what it began that is not over yet."""
    _pins.get()[1].clear()
    _pins.reset(token)
    _settle_context()


def is_pinned() -> bool:
    """Return whether this is a request, which keeps the mode it began in."""
    return _pins.get()[0] != 0


def loosen(alias: str) -> None:
    """Let a pinned context follow the switch of one alias: the session it wrote through is no more."""
    _pins.get()[1].pop(alias, None)


def switch(alias: str) -> Switch | None:
    """Return what this process knows of the alias's switch: None is off."""
    return _switches.get(alias)


def set_switch(alias: str, known: Switch | None) -> None:
    """Note what the alias's switch says; None is off."""
    was_on = alias in _switches
    if known is None:
        _switches.pop(alias, None)
    else:
        _switches[alias] = known
    if was_on != (known is not None):
        _begin_generation()


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
    return described(get_status(alias))


def described(status: Status) -> str:
    """Return a status in one line: why it is read-only and what to do; empty when it is writable."""
    if status.source != "switch":
        return status.reason
    since = f" since {status.since:%Y-%m-%d %H:%M %Z}" if status.since else ""
    why = f" ({status.reason})" if status.reason else ""
    expected = f"expected to end at {status.eta:%Y-%m-%d %H:%M %Z}, retry then" if status.eta else "retry later"
    return (
        f"'{status.alias}' is switched read-only{since}{why}; {expected}, or end it with manage.py read_only off."
    )


def reason_of_the_process() -> str:
    """Return why this process is read-only by its environment, and what to do; empty where it is not."""
    return _REASONS.get(process(), "")


_REASONS: dict[str | ProcessMode, str] = {
    "scope": "This code runs inside read_only(); write after it, or inside writable().",
    ProcessMode.READ_ONLY: (
        "This process is read-only: restart it without DB_READ_ONLY, call enable_writes(), "
        "or write inside writable()."
    ),
    ProcessMode.LOCKED: "DB_READ_ONLY=locked: this process has no writer login; write from another process.",
}
