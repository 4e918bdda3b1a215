"""The two transactions of the switch: on sets the roles' default, off resets it, each with its event and news."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import cast

from psycopg import Error, sql

from ..errors import SwitchError
from ..mark import CHANNEL, SETTING, after
from . import events
from .catalog import Connection, can_log_in, server_time
from .events import COUNTED, Log
from .spec import Opened, Operator, Order, Target


def flip_on(
    connection: Connection, log: Log, target: Target, order: Order, roles: Iterable[str]
) -> tuple[int, datetime]:
    """Make the roles' next sessions read-only and tell those that listen.

    Return the event's id and a time of the server's clock after the commit: a session that began later than that
    began read-only.
    """
    roles = tuple(roles)
    with connection.transaction():
        spelt = after(events.last_mark(log))
        # Noted, for off gives back only what was taken.
        taken = can_log_in(connection, roles) if order.fence == "login" else ()
        event = events.write(
            log,
            target,
            "on",
            order.operator,
            roles=roles,
            reason=order.reason,
            eta=order.eta,
            details={"fence": order.fence, "nologin": taken, "mark": spelt},
        )
        mark(connection, dict.fromkeys(roles, spelt))
        for role in taken:
            connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role)))
        tell(connection)
    return event, server_time(connection)


def mark(connection: Connection, marks: Mapping[str, str]) -> None:
    """Have the sessions of roles begin read-only, each by its mark; where they do, that is written once more."""
    for role, spelt in marks.items():
        _execute(connection, "ALTER ROLE {} IN DATABASE {} SET {} = {}", role, SETTING, spelt)


def flip_off(
    connection: Connection,
    log: Log | None,
    target: Target,
    operator: Operator,
    *,
    roles: Iterable[str],
    logins: Iterable[str],
    since: datetime | None,
    kind: str = "off",
    reason: str = "",
) -> Opened:
    """Reset what on set, and only that; return what began read-only, with its event where `log` can note it.

    `log` is of this very session, or None: then the event is for the caller to write. Who begins a session after
    the commit may write; the commit may take long (a synchronous standby). Who listens is told after a time later
    than that, and so has no session that could be taken for one that began read-only.
    """
    roles = tuple(roles)
    connection.execute("BEGIN")
    try:
        for role in roles:
            _execute(connection, "ALTER ROLE {} IN DATABASE {} RESET {}", role, SETTING)
        for role in logins:
            connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(role)))
        event = 0
        if log is not None:
            event = write_off(log, target, operator, kind=kind, roles=roles, since=since, reason=reason)
        before = _commit_and_tell(connection, log, event)
    except BaseException:
        with suppress(Error):
            connection.rollback()
        raise
    return Opened(event=event, roles=roles, after=since, before=before)


def write_off(
    log: Log,
    target: Target,
    operator: Operator,
    *,
    kind: str,
    roles: Iterable[str],
    since: datetime | None,
    reason: str,
    opened_at: datetime | None = None,
) -> int:
    """Note that a switch is off, and since when what is to be ended has begun; return the event's id."""
    details = {"on_since": since.isoformat()} if since else {}
    if opened_at is not None:
        details["opened_at"] = opened_at.isoformat()
    closed = dict.fromkeys((target.writer, *roles))
    return events.write(log, target, kind, operator, roles=closed, reason=reason, details=details)


def _commit_and_tell(connection: Connection, log: Log | None, event: int) -> datetime:
    """Commit, take the time after it, note it with the event, and only then tell who listens; return that time.

    In one message: the server goes through with it even if this process ends meanwhile.
    """
    time: sql.Composable = sql.SQL("SELECT clock_timestamp()")
    if log is not None:
        time = sql.SQL(_NOTE).format(table=log.table, event=sql.Literal(event), counted=COUNTED)
    told = connection.execute(sql.SQL("COMMIT; {}; {}").format(time, _NOTIFY), prepare=False)
    told.nextset()
    row = told.fetchone()
    if row is None:
        raise SwitchError("PostgreSQL did not tell the time.")
    return cast(datetime, row[0])


_NOTE = """UPDATE {table} SET details = details || jsonb_build_object('opened_at', clock_timestamp()) || {counted}
    WHERE id = {event} RETURNING (details->>'opened_at')::timestamptz"""
_NOTIFY = sql.SQL("NOTIFY {}").format(sql.Identifier(CHANNEL))


def tell(connection: Connection) -> None:
    """Return who listens to look; delivered at once, or when the transaction that is open commits.

    https://www.postgresql.org/docs/current/sql-notify.html
    """
    connection.execute(_NOTIFY)


def _execute(connection: Connection, text: str, role: str, setting: str, value: str = "") -> None:
    parts: list[sql.Composable] = [
        sql.Identifier(role),
        sql.Identifier(connection.info.dbname),
        sql.Identifier(setting),
    ]
    connection.execute(sql.SQL(text).format(*parts, *([sql.Literal(value)] if value else [])))
