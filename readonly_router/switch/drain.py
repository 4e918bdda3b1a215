"""Waits until no session of the fenced roles is left that could still write, and ends those that are idle."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from .. import advisory
from ..mark import WRITABLE_LOCK
from . import catalog
from .catalog import Connection
from .spec import Order, Session, Tell

# Between two looks; and between two lines of progress.
PAUSE_SECONDS = 0.02
TELL_SECONDS = 1.0
# An idle session is ended in a moment of rest, so that no query is on its way to it; if it never rests, after a
# time in which whoever follows the switch has left it (following.ASK_SECONDS).
REST_SECONDS = 0.05
RUSH_SECONDS = 1.0
# How long --force lets sessions end by themselves after it cancelled their queries, and after it ended them.
CANCEL_SECONDS = 1.0
END_SECONDS = 5.0

CLIENT = "client backend"


class Fate(Enum):
    """What a drain does with a session."""

    LEFT = "began read-only"
    WAIT = "wait"
    END = "end"


@dataclass(frozen=True, kw_only=True)
class Left:
    """What stands between a switch and its receipt."""

    sessions: tuple[Session, ...] = ()
    starting: tuple[int, ...] = ()
    prepared: tuple[str, ...] = ()
    locked: bool = False

    @property
    def drained(self) -> bool:
        return not (self.sessions or self.starting or self.prepared) and self.locked

    def says(self, *, show_queries: bool = False) -> tuple[str, ...]:
        """Return each in one line."""
        return (
            *(session.says(show_queries=show_queries) for session in self.sessions),
            *(f"process {pid}, still logging in" for pid in self.starting),
            *(f"prepared transaction {name}; commit or roll it back" for name in self.prepared),
        )


@dataclass(frozen=True, kw_only=True)
class Since:
    """What was there as a drain began: `awaited` are processes that were logging in, `met` the sessions.

    `own` are the processes of the command's sessions, which are waited for by nobody.
    """

    switched_at: datetime
    awaited: tuple[int, ...]
    met: frozenset[tuple[int, datetime | None]]
    own: frozenset[int]

    @classmethod
    def of(
        cls, switched_at: datetime, awaited: Iterable[int], sessions: Iterable[Session], own: frozenset[int]
    ) -> Since:
        met = frozenset((session.pid, session.began) for session in sessions)
        return cls(switched_at=switched_at, awaited=tuple(awaited), met=met, own=own)

    def has_met(self, session: Session) -> bool:
        return session.pid in self.awaited or (session.pid, session.began) in self.met


def fate(
    session: Session,
    *,
    switched_at: datetime,
    elapsed: float,
    grace: float,
    writes_through: bool = False,
    met: bool = False,
) -> Fate:
    """Return what becomes of a session `elapsed` seconds after the switch.

    Who began later than `switched_at` began read-only, but for background workers, which start again by
    themselves, for sessions that write through the switch, and for those `met` as the drain began, whatever a
    clock that was set back says of them. An idle session ends once it was idle for the
    grace, or the grace is over, when it rests; a transaction is never ended, and what cannot be seen is never
    taken for drained.
    """
    client = session.kind == CLIENT
    if client and not (writes_through or met) and session.began is not None and session.began > switched_at:
        return Fate.LEFT
    if session.kind == "parallel worker":
        return Fate.LEFT  # as its leader
    idle = client and session.state == "idle"
    if idle and (elapsed >= grace or (session.idle_for or 0.0) >= grace) and _rests(session, elapsed - grace):
        return Fate.END
    return Fate.WAIT


def _rests(session: Session, waited: float) -> bool:
    return (session.idle_for or 0.0) >= REST_SECONDS or waited >= RUSH_SECONDS


def drain(
    connection: Connection,
    roles: Iterable[str],
    switched_at: datetime,
    order: Order,
    own: frozenset[int],
    tell: Tell,
) -> tuple[Left, int]:
    """Wait until nothing is left, or the deadline; return what is left and how many sessions were ended.

    Holds WRITABLE_LOCK when it returns drained, so that no `writable()` begins before the receipt is written.
    """
    roles = tuple(roles)
    began = time.monotonic()
    ended: set[int] = set()
    told = began
    # Who begins to log in later than this meets the setting: on a busy server somebody always does.
    awaited = catalog.starting(connection)
    since = Since.of(switched_at, awaited, catalog.sessions(connection, roles, own=own), own)
    while True:
        elapsed = time.monotonic() - began
        left, idle = _look(connection, roles, since, elapsed=elapsed, grace=order.grace)
        if left.drained or elapsed >= order.deadline:
            return left, len(ended)
        ended |= _end(connection, idle, waited=elapsed - order.grace)
        if time.monotonic() - told >= TELL_SECONDS:
            tell(_progress(left, order))
            told = time.monotonic()
        time.sleep(PAUSE_SECONDS)


def force(
    connection: Connection,
    roles: Iterable[str],
    switched_at: datetime,
    left: Left,
    own: frozenset[int],
    tell: Tell,
) -> tuple[Left, int]:
    """Cancel what runs, then end every session that is left; return what is left even so."""
    roles = tuple(roles)
    busy = tuple(session for session in left.sessions if session.state == "active")
    tell(f"cancel {len(busy)} queries")
    _signal(connection, _CANCEL, busy)
    since = Since.of(switched_at, left.starting, left.sessions, own)
    left, _ = _wait(connection, roles, since, seconds=CANCEL_SECONDS, ending=False)
    tell(f"end {len(left.sessions)} sessions")
    return _wait(connection, roles, since, seconds=END_SECONDS, ending=True)


def _wait(
    connection: Connection,
    roles: Sequence[str],
    since: Since,
    *,
    seconds: float,
    ending: bool,
) -> tuple[Left, int]:
    deadline, ended = time.monotonic() + seconds, set[int]()
    while True:
        left, _ = _look(connection, roles, since, elapsed=0.0, grace=0.0)
        # No signal ends a prepared transaction.
        beyond = left.prepared and not (left.sessions or left.starting)
        if left.drained or beyond or time.monotonic() >= deadline:
            return left, len(ended)
        if ending:
            ended |= _signal(connection, _TERMINATE, left.sessions)
        time.sleep(PAUSE_SECONDS)


def _still_starting(connection: Connection, awaited: Sequence[int]) -> tuple[int, ...]:
    """Return those of the processes that are logging in still; to be asked before the sessions are."""
    return tuple(pid for pid in catalog.starting(connection) if pid in awaited) if awaited else ()


def _look(
    connection: Connection,
    roles: Sequence[str],
    since: Since,
    *,
    elapsed: float,
    grace: float,
) -> tuple[Left, tuple[Session, ...]]:
    """Return what is left, and which sessions of it are to be ended."""
    starting = _still_starting(connection, since.awaited)
    through = catalog.writing_through(connection)
    fates = {
        session: fate(
            session,
            switched_at=since.switched_at,
            elapsed=elapsed,
            grace=grace,
            writes_through=session.pid in through,
            met=since.has_met(session),
        )
        for session in catalog.sessions(connection, roles, own=since.own)
    }
    left = Left(
        sessions=tuple(session for session, found in fates.items() if found is not Fate.LEFT),
        starting=starting,
        prepared=catalog.prepared(connection),
    )
    if not (left.sessions or left.starting or left.prepared):
        left = replace(left, locked=advisory.try_lock(connection, WRITABLE_LOCK))
    return left, tuple(session for session, found in fates.items() if found is Fate.END)


# Never in the WHERE clause: the planner puts what is no equality first, and would end every session it may.
_END_IDLE = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid = %s AND backend_start = %s AND state = 'idle'"""
_AT_REST = f" AND clock_timestamp() - state_change >= interval '{REST_SECONDS} seconds'"


def _end(connection: Connection, idle: Iterable[Session], *, waited: float) -> set[int]:
    """End sessions that are idle still: pids are reused, and a session may have gone back to work."""
    return _signal(connection, _END_IDLE if waited >= RUSH_SECONDS else _END_IDLE + _AT_REST, idle)


_CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"
_TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"


def _signal(connection: Connection, query: str, found: Iterable[Session]) -> set[int]:
    reached = set()
    for session in found:
        row = connection.execute(query, [session.pid, session.began]).fetchone()
        if row and row[0]:
            reached.add(session.pid)
    return reached


def renew(
    connection: Connection,
    roles: Iterable[str],
    *,
    after: datetime,
    before: datetime,
    grace: float,
    own: frozenset[int],
    tell: Tell,
) -> tuple[Session, ...]:
    """End the idle sessions that began while the switch was on, for they stay read-only; return those left.

    Whoever shares them, a pooler or a program that keeps its connection, gets a writable one next. What writes
    through the switch is no such session: it is left alone.
    """
    started = time.monotonic()
    ended = 0
    # They may have met the setting before it was reset.
    awaited = catalog.starting(connection)
    while True:
        starting = _still_starting(connection, awaited)
        through = catalog.writing_through(connection)
        stale = tuple(
            session
            for session in catalog.sessions(connection, roles, own=own)
            if session.kind == CLIENT and session.began is not None and after <= session.began <= before
            if session.pid not in through
        )
        waited = time.monotonic() - started
        if not (stale or starting) or waited >= grace:
            if ended:
                tell(f"ended {ended} idle sessions that began read-only")
            return stale
        idle = (session for session in stale if session.state == "idle")
        ended += len(_end(connection, (session for session in idle if _rests(session, waited)), waited=waited))
        time.sleep(PAUSE_SECONDS)


def _progress(left: Left, order: Order) -> str:
    count = f"{len(left.sessions)} sessions to drain"
    if left.starting:
        count += f", {len(left.starting)} logging in"
    if left.prepared:
        count += f", {len(left.prepared)} prepared transactions"
    # Sorted by the age of their transactions.
    oldest = next(iter(left.sessions), None)
    return f"{count}; oldest: {oldest.says(show_queries=order.show_queries)}" if oldest else count
