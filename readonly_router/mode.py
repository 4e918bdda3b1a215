"""The mode as a value: what decides it now, strongest first (scope, then process)."""

from __future__ import annotations

from contextvars import ContextVar, Token
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


# `default` is the alias of a status nothing decided: follow the switch, writable while there is none.
_scope: ContextVar[Scope | None] = ContextVar("readonly_router_scope", default=None)
_process: ProcessMode | None = None


def scope() -> Scope | None:
    """Return the innermost scope of this context."""
    return _scope.get()


def enter_scope(wanted: Scope) -> Token[Scope | None]:
    """Set the scope of this context; hand the token to `leave_scope`."""
    return _scope.set(wanted)


def leave_scope(token: Token[Scope | None]) -> None:
    """Restore the scope that `enter_scope` replaced."""
    _scope.reset(token)


def process() -> ProcessMode:
    """Return the process's mode, read from the environment the first time."""
    global _process  # noqa: PLW0603 - the process's mode is global by nature
    if _process is None:
        _process = conf.process_mode()
    return _process


def set_process(wanted: ProcessMode | None) -> None:
    """Set the process's mode; None reads the environment again."""
    global _process  # noqa: PLW0603 - the process's mode is global by nature
    _process = wanted


def is_read_only() -> bool:
    """Tell whether the default alias leads to the twin here and now."""
    asked = _scope.get()
    if asked is not None:
        return asked is Scope.READ_ONLY
    return (_process or process()) in _READ_ONLY


_READ_ONLY = frozenset({ProcessMode.READ_ONLY, ProcessMode.LOCKED})


def get_status() -> Status:
    """Return the mode with its source and reason; asks no database."""
    asked, owner = _scope.get(), process()
    locked = owner is ProcessMode.LOCKED
    if asked is Scope.WRITABLE:
        return Status(read_only=False, source="scope")
    if asked is Scope.READ_ONLY:
        return Status(read_only=True, source="scope", reason=_REASONS["scope"], locked=locked)
    if owner is ProcessMode.FOLLOW:
        return Status(read_only=False, source="default")
    return Status(read_only=owner in _READ_ONLY, source="process", reason=_REASONS.get(owner, ""), locked=locked)


_REASONS: dict[str | ProcessMode, str] = {
    "scope": "This code runs inside read_only(); write after it, or inside writable().",
    ProcessMode.READ_ONLY: (
        "This process is read-only (DB_READ_ONLY or disable_writes()); restart it without, "
        "or write inside writable()."
    ),
    ProcessMode.LOCKED: "DB_READ_ONLY=locked: this process has no writer login; write from another process.",
}
