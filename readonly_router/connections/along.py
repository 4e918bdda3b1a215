"""What the application set on a session goes along as the switch moves its alias; what cannot is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from .. import conf
from ..errors import message
from ..following import watch
from ..mark import CHANNEL
from .protocols import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """What a session holds: parameters with their values, and what no other session can be given.

    `autocommit` is what the application made of it; None where that is as its settings say.
    """

    parameters: tuple[tuple[str, str], ...] = ()
    autocommit: bool | None = None
    left: tuple[str, ...] = ()


NOTHING = SessionState()
LEFT = (
    "The switch moved '{}' to another session, and this did not go along: {}. Look, and begin that work again; a "
    "loop that calls close_old_connections() between its rounds does not meet this between them."
)

# Neither parameters with a dot that no extension knows nor the role are in pg_settings: they are asked by name.
# The role that a login begins with was not set by the application. A transaction's parameters end with it, and
# whether a session may write is the mode's to say.
_ASK = """SELECT ARRAY(SELECT ARRAY[s.name, s.setting] FROM pg_catalog.pg_settings s
        WHERE s.source OPERATOR(pg_catalog.=) 'session'
          AND s.name OPERATOR(pg_catalog.<>) 'default_transaction_read_only'
          AND NOT pg_catalog.starts_with(s.name, 'transaction_')
          AND ARRAY[s.name, s.setting] OPERATOR(pg_catalog.<>)
              ARRAY['TimeZone', %(timezone)s::pg_catalog.text]),
    ARRAY(SELECT ARRAY[n, pg_catalog.current_setting(n)]
        FROM pg_catalog.unnest(%(named)s::pg_catalog.text[]) n
        WHERE pg_catalog.current_setting(n, true) OPERATOR(pg_catalog.<>) ''),
    pg_catalog.current_setting('role'),
    (SELECT pg_catalog.substr(c, 6) FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c
        WHERE pg_catalog.starts_with(c, 'role=')
          AND s.setrole OPERATOR(pg_catalog.=) ANY (ARRAY[0::pg_catalog.oid, (SELECT r.oid
              FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) session_user)])
          AND s.setdatabase OPERATOR(pg_catalog.=) ANY (ARRAY[0::pg_catalog.oid, (SELECT d.oid
              FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())])
        ORDER BY s.setrole DESC, s.setdatabase DESC LIMIT 1),
    EXISTS (SELECT FROM pg_catalog.pg_class t
        WHERE t.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()),
    EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory'
        AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()),
    EXISTS (SELECT FROM pg_catalog.pg_listening_channels() h WHERE h OPERATOR(pg_catalog.<>) %(channel)s)"""
_SET = """SELECT pg_catalog.set_config(%(name)s::pg_catalog.text, %(value)s::pg_catalog.text, false)
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_settings s
        WHERE s.name OPERATOR(pg_catalog.=) %(name)s::pg_catalog.text
          AND s.setting OPERATOR(pg_catalog.=) %(value)s::pg_catalog.text)"""
_KINDS = ("temporary tables", "advisory locks", "LISTEN")


def state_of(member: Member) -> SessionState:
    """Return what a session holds that was used; asked of it once, outside of transactions."""
    session = member.connection
    if session is None or not watch.can_tell(session):
        return SessionState()
    changed = member.autocommit if member.autocommit != member.settings_dict["AUTOCOMMIT"] else None
    if not member.used:
        return SessionState(autocommit=changed)
    if session.pgconn.transaction_status != TransactionStatus.IDLE:
        return SessionState(left=("what it was at work on",))
    said = {"timezone": member.timezone_name, "named": list(conf.parameters()), "channel": CHANNEL}
    try:
        ((listed, named, role, first, *kinds),) = watch.plain_cursor(session).execute(_ASK, said, prepare=False)
        if not session.autocommit:
            session.rollback()
    except psycopg.Error as error:
        return SessionState(left=(f"what was set on it ({message(error)})",))
    begun_as = member.settings_dict["OPTIONS"].get("assume_role") or first or "none"
    # Last, for it may not set what its session's user may.
    taken = [["role", role]] if role != begun_as else []
    return SessionState(
        parameters=tuple((name, value) for name, value in (*listed, *named, *taken)),
        autocommit=changed,
        left=tuple(kind for kind, found in zip(_KINDS, kinds, strict=True) if found),
    )


def give(state: SessionState, member: Member) -> tuple[str, ...]:
    """Give a session what another held; return what it was not given."""
    session = member.connection
    if session is None or member.holds_alias():
        return (*state.left, *(name for name, _ in state.parameters))
    refused = [name for name, value in state.parameters if not _is_set(session, name, value)]
    member.used = member.used or bool(state.parameters)
    if state.autocommit is not None:
        member.set_autocommit(state.autocommit)
    return (*state.left, *refused)


def _is_set(session: Any, name: str, value: str) -> bool:
    """Set a parameter to its end; return whether the session may."""
    try:
        watch.plain_cursor(session).execute(_SET, {"name": name, "value": value}, prepare=False)
        if not session.autocommit:
            session.commit()
    except psycopg.Error:
        return False
    return True
