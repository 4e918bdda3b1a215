"""A statement whose session ended: sent a second time only where the server says that the switch moved meanwhile.

To the twin and nowhere else, once, READ ONLY, and by the extended protocol, which takes one statement alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, cast

import psycopg
from django.db import Error, InternalError, connections
from psycopg.pq import TransactionStatus

from .. import conf, logins, mode
from ..errors import ReadOnlyRouterError, SessionEndedError
from ..following import followers, watch
from ..following.answers import Answer
from . import engines
from .protocols import Member, MemberCursor
from .refusals import ENDED, sqlstate_of
from .translation import writer_of

CONNECT_TIMEOUT_SECONDS = 3
# Looked up once: this is compared for every query.
_IDLE = TransactionStatus.IDLE
GONE = (
    "The session that served '{}' ended as its switch moved, and what was set on it is gone; whether its last "
    "statement was done is not known. Look, and try again."
)


def is_first(member: Member, session: Any) -> bool:
    """Note a statement; return whether the session did nothing before it in this request, nor in its block."""
    first, member.used = not member.used, True
    return first and watch.can_tell(session) and session.pgconn.transaction_status == _IDLE


def has_ended(member: Member, session: Any, error: Exception) -> bool:
    """Return whether the session has ended under a statement that failed so."""
    if watch.is_lost(session):
        session.close()
    # A pooler's words and PostgreSQL's last ones are two answers to BEGIN, of which psycopg shows neither.
    garbled = member.in_atomic_block and isinstance(error, InternalError) and not sqlstate_of(error.__cause__)
    return session.closed or garbled or sqlstate_of(error.__cause__) in ENDED


def has_moved(member: Member, session: Any) -> bool:
    """Return whether the switch moved since a session that has ended was born, as a new one shows; asked once."""
    if not mode.follows() or not watch.is_watched(session):
        return False
    known = watch.watch_of(session)
    if known.outlived is None:
        found = _answer(writer_of(member))
        known.outlived = found is not None and (
            known.is_older_than(found.mark, found.instance[0])
            # A pool opened it while the switch was on and handed it out after off: too late to ask for its mark.
            or (not member.is_twin and known.began_read_only and found.writable)
        )
    return known.outlived


def _answer(alias: str) -> Answer | None:
    """Ask on a session of its own: the writer's, or the twin's where that cannot log in; None if none answers."""
    twin = conf.twins()[alias]
    brief = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, "application_name": "readonly_router"}
    for each in (alias, *((twin,) if twin not in conf.replicas() else ())):
        with suppress(ReadOnlyRouterError, psycopg.Error):
            way = logins.parameters(connections.settings[each], each)
            with closing(logins.connect(f"'{each}'", {**brief, **way})) as session:
                found = followers.of(alias).answer_of(session)
                return None if found.standby else found
    return None


def ended_in_use(member: Member) -> SessionEndedError:
    """Return the error of a session that had been used and ended as the switch moved, or of what it left behind.

    Once, but in a request: there each statement meets it to the end.
    """
    said = member.owes_error or GONE.format(writer_of(member))
    swallowed = engines.swallows(member)
    if not (mode.is_pinned() or member.in_atomic_block):
        if not member.owes_error:
            member.close()
        owe(writer_of(member), said if swallowed else "")
    return SessionEndedError.of(said, alias=str(member.alias))


def owe(alias: str, said: str) -> None:
    """Let the next statement of a writer's alias raise an error that says so, whichever session serves it."""
    for each in (alias, conf.twins()[alias]):
        cast(Any, connections).real(each).owes_error = said


def send_again(cursor: MemberCursor, run: Callable[[], Any]) -> Any:
    """Run what was the first statement of a session, or of its block, on a session of the twin's.

    A block stays there to its end. Raises where the twin does not answer.
    """
    member = cursor.db
    with suppress(psycopg.Error):
        cursor.cursor.close()
    alias = writer_of(member)
    # Methods of our handler, which the stubs of django.db.connections cannot know.
    twin = cast(Member, cast(Any, connections).real(conf.twins()[alias]))
    if member.in_atomic_block:
        member.borrow(twin)
        # The engine's: it may have to set its tenant first.
        cursor.cursor = member.cursor().cursor
        result = _alone(member.connection, run)
    elif member is not twin and twin.holds_alias():
        raise Error("A transaction of its own is open on the twin.")
    else:
        if member is twin or not mode.is_pinned():
            member.close()
        if twin.connection is not None and watch.has_ended(twin.connection):
            twin.close()
        twin.ensure_connection()
        learn(alias, twin)
        twin.used = True
        engines.hand_over(member, twin)
        # The engine's as well: it goes on with this one where it swallows the error of its own statement.
        cursor.cursor, cursor.db, cursor.handed = twin.cursor().cursor, twin, cursor.handed or not member.is_twin
        result = _read_only(cursor, run)
        if member is not twin:
            member.close()
    mode.loosen(alias)
    return result


def learn(alias: str, twin: Member) -> None:
    """Learn how the switch stands from a twin's new session, for all that follows."""
    if not twin.is_replica:
        followers.of(alias).ask(twin.connection)


def _alone(session: Any, run: Callable[[], Any]) -> Any:
    # psycopg speaks the extended protocol there, with whatever cursor.
    with session.pipeline():
        return run()


def _read_only(cursor: MemberCursor, run: Callable[[], Any]) -> Any:
    session = cursor.cursor.connection
    watch.plain_cursor(session).execute("BEGIN READ ONLY", prepare=False)
    try:
        result = _alone(session, run)
        if cursor.cursor.description is None:
            raise Error("It returns no rows, so it was no read.")
        watch.plain_cursor(session).execute("COMMIT", prepare=False)
    finally:
        session.rollback()
    return result
