"""What is thrown: each writer's session with its lock held, one command at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from .. import advisory, conf, mode
from ..conf import ProcessMode
from ..durations import seconds
from ..errors import ConfigurationError, ModeError, SwitchError
from ..logins import Session, one_line, place_of
from ..mark import SWITCH_LOCK
from ..place import Place, is_same
from . import events, preflight
from .events import Log
from .spec import State, Target, Tell, print_nothing
from .targets import Hands, hands, target_for
from .waits import Waits, bounded

Databases = str | Iterable[str] | None

# How long the lock of a command that has ended may outlive it.
LEAVING_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Throw:
    """One writer whose switch is thrown, as it was found; `log` is None where its events were not migrated.

    `own` are the processes of this command's sessions: no drain waits for them, and their commits are bounded. It
    is one set for all its writers, and grows where an `off` or an undo opens another session.
    """

    target: Target
    hands: Hands
    # Where the operator leads; a writer that is fenced off cannot tell.
    place: Place
    log: Log | None
    state: State
    own: set[int]
    waits: Waits
    tell: Tell = print_nothing

    @property
    def connection(self) -> Session:
        """Return the operator's session."""
        return self.hands.operator


@contextmanager
def thrown(
    databases: Databases,
    admin: Mapping[str, Any] | None,
    tell: Tell,
    *,
    commit: float | None = None,
    needs_events: bool = True,
) -> Iterator[list[Throw]]:
    """Open every database's session and take its lock, so that one operator acts at a time.

    Aliases that lead to the same role of the same database (past a pooler and through it) have one switch.
    `commit` is how many seconds a synchronous standby has to confirm what is committed; default: the deadline.
    Without `needs_events` a table of events that cannot be read is a note: its owner must not keep an off away.
    """
    refuse_locked()
    began = time.monotonic()
    seconds = wait_seconds(conf.deadline()) if commit is None else commit
    with ExitStack() as stack:
        throws: list[Throw] = []
        own: set[int] = set()
        for alias in aliases(databases):
            target, say = target_for(alias, admin=admin), _timed(tell, alias, began)
            opened = stack.enter_context(hands(target))
            place = place_of(opened.operator)
            neighbours = [throw.target for throw in throws if is_same(throw.place, place)]
            if same := [each.alias for each in neighbours if each.writer == target.writer]:
                say(f"the same role of the same database as '{same[0]}'")
                continue
            preflight.refuse_standby(opened.operator, target)
            if not neighbours:
                take_lock(opened.operator, target)
            log, state = seen(opened, target, say, needs_events=needs_events)
            waits = stack.enter_context(bounded(opened.operator, target, own, seconds=seconds, tell=say))
            own.update((*opened.pids, waits.pid))
            throws.append(
                Throw(
                    target=target, hands=opened, place=place, log=log, state=state, own=own, waits=waits, tell=say
                )
            )
        yield throws


def seen(opened: Hands, target: Target, tell: Tell, *, needs_events: bool) -> tuple[Log | None, State]:
    """Return the table of events and how the switch stands; without the table where it cannot be read."""
    try:
        log = events.log_of(opened.site, target)
        return log, preflight.state_of(opened, target, log)
    except (psycopg.Error, SwitchError) as error:
        if needs_events:
            raise
        tell(f"note: the events cannot be read and are left alone: {one_line(error)}")
        return None, preflight.state_of(opened, target, None)


def take_lock(connection: Session, target: Target) -> None:
    """Take the lock of a database's switch; raise SwitchError where another command has it.

    A command that has just ended may have it a moment longer: its session ends after the client has closed it.
    """
    until = time.monotonic() + LEAVING_SECONDS
    while not advisory.try_lock(connection, SWITCH_LOCK):
        if time.monotonic() >= until:
            raise SwitchError(
                f"Another read_only command is at work on '{target.alias}' "
                f"({advisory.describe_holders(connection, SWITCH_LOCK)}); wait for it and see read_only status."
            )
        time.sleep(0.02)


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


def wait_seconds(written: object) -> float:
    """Return a duration in seconds; ConfigurationError tells of one that is none."""
    try:
        return seconds(written)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
