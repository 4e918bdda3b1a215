"""What is thrown: each writer's session with its lock held, one command at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from .. import conf, mode
from ..conf import ProcessMode
from ..durations import seconds
from ..errors import ConfigurationError, ModeError, SwitchError
from ..roles.logins import first_line
from . import catalog, preflight
from .catalog import Connection
from .mark import SWITCH_LOCK
from .spec import State, Target, Tell, print_nothing
from .targets import session, target_for

Databases = str | Iterable[str] | None


@dataclass(kw_only=True)
class Throw:
    """One writer while its switch is thrown."""

    target: Target
    connection: Connection
    pid: int
    state: State
    roles: tuple[str, ...] = ()
    event: int = 0
    fence: str = "settings"
    switched_at: datetime | None = None
    flipped: bool = False
    tell: Tell = field(default=print_nothing)


@contextmanager
def thrown(databases: Databases, admin: Mapping[str, Any] | None, tell: Tell) -> Iterator[list[Throw]]:
    """Open every database's session and take its lock, so that one operator acts at a time.

    Aliases that lead to the same role of the same database (past a pooler and through it) have one switch.
    """
    refuse_locked()
    began = time.monotonic()
    with ExitStack() as stack:
        throws: list[Throw] = []
        for alias in aliases(databases):
            target, say = target_for(alias, admin=admin), _timed(tell, alias, began)
            neighbours = [
                throw.target for throw in throws if target.server and throw.target.server == target.server
            ]
            if same := [each.alias for each in neighbours if each.writer == target.writer]:
                say(f"the same role of the same database as '{same[0]}'")
                continue
            connection = stack.enter_context(session(target))
            preflight.refuse_standby(connection, target)
            if not neighbours:
                _take_lock(connection, target)
            state = preflight.state_of(connection, target)
            pid = connection.info.backend_pid
            throws.append(Throw(target=target, connection=connection, pid=pid, state=state, tell=say))
        yield throws


def _take_lock(connection: Connection, target: Target) -> None:
    if not catalog.try_lock(connection, SWITCH_LOCK):
        others = ", ".join(str(pid) for pid in catalog.switching(connection)) or "just gone"
        raise SwitchError(
            f"Another read_only command is at work on '{target.alias}' (process {others}); "
            "wait for it and see read_only status."
        )


def _timed(tell: Tell, alias: str, began: float) -> Tell:
    def say(line: str) -> None:
        # A terminal or a pipe that is gone decides nothing, least of all whether an undo goes on.
        with suppress(OSError):
            tell(f"[{time.monotonic() - began:7.3f} s] {alias}: {line}")

    return say


def aliases(databases: Databases) -> tuple[str, ...]:
    """Return writer aliases, each once; by default every pair's."""
    if databases is None:
        return tuple(conf.twins())
    wanted = tuple(dict.fromkeys((databases,) if isinstance(databases, str) else databases))
    if strange := [alias for alias in wanted if alias not in conf.twins()]:
        raise SwitchError(
            f"'{strange[0]}' is no writer of READONLY_ROUTER_PAIRS; name one of: {', '.join(conf.twins())}."
        )
    return wanted


def refuse_locked() -> None:
    """Raise ModeError in a process that holds no writer login."""
    if mode.process() is ProcessMode.LOCKED:
        raise ModeError("DB_READ_ONLY=locked keeps the writer's login out of this process; run this without it.")


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Raise what PostgreSQL says as a SwitchError in one line."""
    try:
        yield
    except psycopg.Error as error:
        raise SwitchError(f"PostgreSQL said: {first_line(error)}; see read_only status.") from None


def wait_seconds(written: str | float) -> float:
    """Return a duration in seconds; ConfigurationError tells of one that is none."""
    try:
        return seconds(written)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
