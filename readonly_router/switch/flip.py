"""The two transactions of the switch: on sets the roles' default, off resets it, each with its event and news."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

from psycopg import Error, sql

from ..errors import SwitchError
from .catalog import Connection, can_log_in, events_table, server_time
from .mark import CHANNEL, MARK, SETTING
from .receipt import Receipt
from .spec import Opened, Operator, Order, Target


def flip_on(connection: Connection, target: Target, order: Order, roles: Iterable[str]) -> tuple[int, datetime]:
    """Make the roles' next sessions read-only and tell those that listen.

    Return the event's id and a time of the server's clock after the commit: a session that began later than that
    began read-only.
    """
    roles = tuple(roles)
    with connection.transaction():
        for role in roles:
            _execute(connection, "ALTER ROLE {} IN DATABASE {} SET {} = {}", role, SETTING, MARK)
        # Noted, for off gives back only what was taken.
        taken = can_log_in(connection, roles) if order.fence == "login" else ()
        for role in taken:
            connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role)))
        event = write_event(
            connection,
            target,
            "on",
            order.operator,
            roles=roles,
            reason=order.reason,
            eta=order.eta,
            details={"fence": order.fence, "nologin": taken},
        )
        tell(connection)
    return event, server_time(connection)


def flip_off(
    connection: Connection,
    target: Target,
    operator: Operator,
    *,
    roles: Iterable[str],
    logins: Iterable[str],
    since: datetime | None,
    kind: str = "off",
    reason: str = "",
) -> Opened | None:
    """Reset what on set, and only that; return what is to be ended where the switch was on since a known time.

    Who begins a session after the commit may write; the commit may take long (a synchronous standby). Who listens
    is told after a time later than that, and so has no session that could be taken for one that began read-only.
    """
    roles = tuple(roles)
    details = {"on_since": since.isoformat()} if since else {}
    connection.execute("BEGIN")
    try:
        for role in roles:
            _execute(connection, "ALTER ROLE {} IN DATABASE {} RESET {}", role, SETTING)
        for role in logins:
            connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(role)))
        closed = dict.fromkeys((target.writer, *roles))
        event = write_event(connection, target, kind, operator, roles=closed, reason=reason, details=details)
        before = _commit_and_tell(connection, event)
    except BaseException:
        with suppress(Error):
            connection.rollback()
        raise
    return Opened(event=event, roles=roles, after=since, before=before) if since else None


def _commit_and_tell(connection: Connection, event: int) -> datetime:
    """Commit, note the time after it with the event, and only then tell who listens; return that time.

    In one message: the server goes through with it even if this process ends meanwhile.
    """
    names = {"table": _table(connection), "event": sql.Literal(event), "channel": sql.Identifier(CHANNEL)}
    told = connection.execute(sql.SQL(_COMMIT).format(**names), prepare=False)
    told.nextset()
    row = told.fetchone()
    if row is None:
        raise SwitchError("PostgreSQL did not tell the time.")
    return cast(datetime, row[0])


_COMMIT = """COMMIT;
    UPDATE {table} SET details = details || jsonb_build_object('opened_at', clock_timestamp()) WHERE id = {event}
        RETURNING (details->>'opened_at')::timestamptz;
    NOTIFY {channel}"""


def tell(connection: Connection) -> None:
    """Tell who listens to look; delivered at once, or when the transaction that is open commits.

    https://www.postgresql.org/docs/current/sql-notify.html
    """
    connection.execute(sql.SQL("NOTIFY {}").format(sql.Identifier(CHANNEL)))


def _execute(connection: Connection, text: str, role: str, setting: str, value: str = "") -> None:
    parts: list[sql.Composable] = [
        sql.Identifier(role),
        sql.Identifier(connection.info.dbname),
        sql.Identifier(setting),
    ]
    connection.execute(sql.SQL(text).format(*parts, *([sql.Literal(value)] if value else [])))


# -- events

_COLUMNS = ("at", "kind", "alias", "roles", "reason", "eta", "by", "os_user", "host", "details")


def write_event(
    connection: Connection,
    target: Target,
    kind: str,
    operator: Operator,
    *,
    roles: Iterable[str] = (),
    reason: str = "",
    eta: datetime | None = None,
    details: Mapping[str, Any] | None = None,
) -> int:
    """Insert an audit event and return its id."""
    values = (
        kind,
        target.alias,
        json.dumps(list(roles)),
        reason,
        eta,
        operator.by,
        operator.os_user,
        operator.host,
        json.dumps(details or {}),
    )
    columns = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
    row = connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES (clock_timestamp(), {}) RETURNING id").format(
            _table(connection), columns, sql.SQL(", ").join([sql.Placeholder()] * len(values))
        ),
        values,
    ).fetchone()
    return int(row[0]) if row else 0


def add_details(connection: Connection, event: int, details: Mapping[str, Any]) -> None:
    """Add to an event what became of the act."""
    connection.execute(
        sql.SQL("UPDATE {} SET details = details || %s::jsonb WHERE id = %s").format(_table(connection)),
        [json.dumps(details), event],
    )


def write_receipt(connection: Connection, receipt: Receipt) -> None:
    """Keep the receipt with its event."""
    connection.execute(
        sql.SQL("UPDATE {} SET receipt = %s WHERE id = %s").format(_table(connection)),
        [receipt.to_json(), receipt.event],
    )


def _table(connection: Connection) -> sql.Composed:
    table = events_table(connection)
    if table is None:
        raise SwitchError("The table of audit events is missing; run manage.py migrate readonly_router.")
    return table
