"""The mode as a value: what decides it now, strongest first (scope, then process)."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum

from . import conf
from .conf import ProcessMode


class Scope(Enum):
    """What the innermost `read_only()` or `writable()` block asks for."""

    READ_ONLY = "read-only"
    WRITABLE = "writable"


@dataclass(frozen=True, kw_only=True)
class Status:
    """The mode and what decided it.

    `source` is `scope`, `process` or `default`; `reason` is one sentence with the next step, empty when writable.
    """

    read_only: bool
    source: str
    reason: str = ""
    locked: bool = False


# The scopes of this context, innermost last: a value, so that contexts that share an object share no state.
_scopes: ContextVar[tuple[Scope, ...]] = ContextVar("readonly_router_scopes", default=())
_process: ProcessMode | None = None
# What the process alone says, kept at hand for every look-up of a connection.
_process_is_read_only: bool | None = None


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


def is_read_only() -> bool:
    """Tell whether the default alias leads to the twin here and now."""
    global _process_is_read_only  # noqa: PLW0603 - see above
    if scopes := _scopes.get():
        return scopes[-1] is Scope.READ_ONLY
    if _process_is_read_only is None:
        _process_is_read_only = process() in {ProcessMode.READ_ONLY, ProcessMode.LOCKED}
    return _process_is_read_only


def get_status() -> Status:
    """Return the mode with its source and reason; asks no database."""
    asked, owner = scope(), process()
    locked = owner is ProcessMode.LOCKED
    if asked is Scope.WRITABLE:
        return Status(read_only=False, source="scope")
    if asked is Scope.READ_ONLY:
        return Status(read_only=True, source="scope", reason=_REASONS["scope"], locked=locked)
    if owner is ProcessMode.FOLLOW:
        return Status(read_only=False, source="default")
    return Status(
        read_only=owner is not ProcessMode.WRITABLE,
        source="process",
        reason=_REASONS.get(owner, ""),
        locked=locked,
    )


_REASONS: dict[str | ProcessMode, str] = {
    "scope": "This code runs inside read_only(); write after it, or inside writable().",
    ProcessMode.READ_ONLY: (
        "This process is read-only: restart it without DB_READ_ONLY, call enable_writes(), "
        "or write inside writable()."
    ),
    ProcessMode.LOCKED: "DB_READ_ONLY=locked: this process has no writer login; write from another process.",
}
