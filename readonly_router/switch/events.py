"""The audit events of the switch: a table of the site, so written and read by the site's own logins alone.

What hangs on a table belongs to whoever has the site's login: triggers, rules, checks, defaults, expressions of
indexes, policies, a view in its place. It runs as whoever touches the table, so an admin never does. To look into
the catalogs first, under a lock, does not help: the owner may rename the schema between the look and the INSERT,
which no lock of ours keeps out.

Where the operator is the site's login, an event is in the transaction of the act. With an admin it is a
transaction of its own: before an `on`, for whose login was taken must be known by who gives it back, and after an
`off`, when a writer that was fenced with NOLOGIN can log in again. A command killed between the two leaves a last
event that says `on` without the setting: status warns of it, `on` and `off` complete it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from ..errors import SwitchError
from ..logins import Session
from ..mark import EVENTS
from .receipt import Receipt
from .spec import Opened, Operator, Target
from .targets import in_one_line, writer_session

# The first of the schemas that the site's own queries look into, as Django finds its table.
_TABLE = """SELECT n.nspname::text, c.oid::bigint, c.relkind = 'r', pg_get_userbyid(c.relowner)::text,
    c.relowner IN (w.oid, d.datdba, n.nspowner) OR o.rolsuper
        OR (NOT w.rolsuper AND pg_has_role(w.oid, c.relowner, 'MEMBER')),
    ARRAY(SELECT l.rolname::text FROM pg_roles l WHERE l.rolcanlogin AND NOT l.rolsuper AND NOT o.rolsuper
        AND pg_has_role(l.oid, c.relowner, 'MEMBER') AND pg_has_role(w.oid, c.relowner, 'MEMBER'))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner,
         pg_database d, pg_roles w
    WHERE c.relname = %(table)s AND n.nspname = ANY (%(schemas)s) AND d.datname = current_database()
      AND w.rolname = %(writer)s ORDER BY array_position(%(schemas)s, n.nspname::text) LIMIT 1"""


@dataclass(frozen=True, kw_only=True)
class Log:
    """The table of audit events as a session of the site's own reaches it; `writer` is whose switch it tells.

    `logins` are what the site may have logged in as before: members, as the writer is, of the table's owner.
    """

    session: Session
    alias: str
    writer: str
    logins: tuple[str, ...]
    schema: str
    oid: int

    @property
    def table(self) -> sql.Identifier:
        """Return the table as it is spelt in a statement."""
        return sql.Identifier(self.schema, EVENTS)


@dataclass(frozen=True, kw_only=True)
class Event:
    """An act on a writer's switch, as the site's table tells it: the site's word, not the server's."""

    id: int
    at: datetime
    kind: str
    alias: str
    reason: str
    eta: datetime | None
    by: str
    os_user: str
    host: str
    roles: list[str]
    receipt: dict[str, Any] | None
    details: dict[str, Any]


def log_of(session: Session, target: Target) -> Log | None:
    """Return the table of events; None where it was not migrated.

    Raises SwitchError for another relation in its place, or one of a login that is not the site's: where PUBLIC
    may create in a schema of the site's path, anybody can make a table of that name.
    """
    schemas = list(session.schemas or target.schemas)
    wanted = {"table": EVENTS, "schemas": schemas, "writer": target.writer}
    row = session.execute(_TABLE, wanted).fetchone()
    if row is None:
        return None
    schema, oid, is_table, owner, is_of_the_site, members = row
    name = sql.Identifier(schema, EVENTS).as_string(None)
    if not is_table:
        raise SwitchError(f"{name} is no table; remove it, and run manage.py migrate readonly_router.")
    if not is_of_the_site:
        raise SwitchError(
            f"Table {name} belongs to role '{owner}' and not to the site; have it dropped and run manage.py "
            f"migrate readonly_router, or ALTER TABLE {name} OWNER TO the site's role if it is the site's."
        )
    return Log(
        session=session,
        alias=target.alias,
        writer=target.writer,
        logins=tuple(members),
        schema=schema,
        oid=oid,
    )


def required(log: Log | None, target: Target) -> Log:
    """Return the table of events; raise SwitchError where it was not migrated."""
    if log is None:
        raise SwitchError(
            f"The table of audit events is not in '{target.alias}'; run manage.py migrate readonly_router "
            f"--database {target.alias}."
        )
    return log


# -- reading

# By its role: another site of the same database may use the same alias, or this site another one. Where a secrets
# manager gives the site a new login each time, by those of before.
# What was said last of an act, itself or what amended it, is its reason and expected end.
_LAST = """SELECT e.id, e.at, e.kind, e.alias, s.reason, s.eta, e.by, e.os_user, e.host, e.roles, e.receipt,
    e.details FROM {table} e, LATERAL (SELECT reason, eta FROM {table} a
        WHERE a.id = e.id OR a.kind = 'amended' AND a.id > e.id AND a.roles ?| %(roles)s::text[]
        ORDER BY a.id DESC LIMIT 1) s
    WHERE e.kind NOT IN ('exec', 'migrate', 'amended')
      AND (e.roles ? %(writer)s::text OR e.alias = %(alias)s AND e.roles ?| %(roles)s::text[])
    ORDER BY e.id DESC LIMIT 1"""
_LATEST = """SELECT id, at, kind, alias, reason, eta, by, os_user, host, roles, receipt, details FROM {table}
    WHERE alias = %(alias)s ORDER BY id DESC LIMIT %(limit)s"""
_HOLDS: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: isinstance(value, int),
    "str": lambda value: isinstance(value, str),
    "datetime": lambda value: isinstance(value, datetime),
    "datetime | None": lambda value: value is None or isinstance(value, datetime),
    "list[str]": lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
    "dict[str, Any]": lambda value: isinstance(value, dict),
    "dict[str, Any] | None": lambda value: value is None or isinstance(value, dict),
}


def last(log: Log) -> Event | None:
    """Return the last act on the switch of a writer's role; raise SwitchError for what no command wrote."""
    roles = [log.writer, *log.logins]
    return next(_read(log, _LAST, writer=log.writer, alias=log.alias, roles=roles), None)


_LAST_MARK = """SELECT details->>'mark' FROM {table} WHERE kind = 'on' AND roles @> %(roles)s::jsonb
    ORDER BY id DESC LIMIT 1"""


def last_mark(log: Log) -> str | None:
    """Return the mark of the last `on` of a writer's role; None where no event tells one."""
    query = sql.SQL(_LAST_MARK).format(table=log.table)
    row = log.session.execute(query, {"roles": json.dumps([log.writer])}).fetchone()
    return row[0] if row else None


def latest(log: Log, alias: str, *, limit: int) -> tuple[Event, ...]:
    """Return the last acts of an alias, newest first; raise SwitchError for what no command wrote."""
    return tuple(
        replace(event, at=event.at.astimezone(timezone.utc), eta=event.eta and event.eta.astimezone(timezone.utc))
        for event in _read(log, _LATEST, alias=alias, limit=limit)
    )


def _read(log: Log, query: str, **values: object) -> Iterator[Event]:
    with log.session.cursor(row_factory=dict_row) as cursor, log.session.transaction():
        rows = cursor.execute(sql.SQL(query).format(table=log.table), values).fetchall()
    for row in rows:
        event = Event(**row)
        for each in fields(event):
            if not _HOLDS[str(each.type)](getattr(event, each.name)):
                raise SwitchError(
                    f"Event {event.id} in {EVENTS} holds no {each.name} that a command wrote; look at it."
                )
        yield event


def unfinished_off(event: Event | None, *, now: datetime) -> Opened | None:
    """Return what is left of the last act, if that was an off which did not end what began before.

    Killed between its commit and the note of the time after it, it may have left what begins until now.
    """
    if event is None or event.kind not in {"off", "undone"} or "renewed" in event.details:
        return None
    after = _time(event.details.get("on_since"))
    if after is None:
        return None
    before = _time(event.details.get("opened_at")) or now
    return Opened(event=event.id, roles=tuple(event.roles), after=after, before=before)


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


# -- writing


@contextmanager
def writing(target: Target) -> Iterator[Log]:
    """Open the site's own login for its table of events; raise SwitchError where it cannot log in, or has none."""
    with writer_session(target) as site:
        yield required(log_of(site, target), target)


_COLUMNS = ("at", "kind", "alias", "roles", "reason", "eta", "by", "os_user", "host", "details")


def write(
    log: Log,
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
        json.dumps({**(details or {}), "writes": 1}),
    )
    columns = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
    row = log.session.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES (clock_timestamp(), {}) RETURNING id").format(
            log.table, columns, sql.SQL(", ").join([sql.Placeholder()] * len(values))
        ),
        values,
    ).fetchone()
    return int(row[0]) if row else 0


# Each write of a row is counted in it, so that verify can tell the switch's own from another's.
COUNTED = sql.SQL("jsonb_build_object('writes', coalesce((details->>'writes')::bigint, 0) + 1)")


def add_details(log: Log, event: int, details: Mapping[str, Any]) -> None:
    """Add to an event what became of the act."""
    query = sql.SQL("UPDATE {} SET details = details || %s::jsonb || {} WHERE id = %s")
    log.session.execute(query.format(log.table, COUNTED), [json.dumps(details), event])


def begin(target: Target, kind: str, operator: Operator, details: Mapping[str, Any]) -> int:
    """Write the event of a run that begins and return its id; no session is kept open until the run ends."""
    with in_one_line(), writing(target) as log:
        return write(log, target, kind, operator, details=details)


def complete(target: Target, event: int, details: Mapping[str, Any]) -> SwitchError | None:
    """Add how the run ended; return what kept that from being noted, for what the run itself raised goes first."""
    try:
        with in_one_line(), writing(target) as log:
            add_details(log, event, details)
    except SwitchError as error:
        return error
    return None


def write_receipt(log: Log, receipt: Receipt) -> None:
    """Keep the receipt with its event."""
    query = sql.SQL("UPDATE {} SET receipt = %s, details = details || {} WHERE id = %s")
    log.session.execute(query.format(log.table, COUNTED), [receipt.to_json(), receipt.event])


def keeps(log: Log, receipt: Receipt) -> bool:
    """Return whether a receipt is kept with its event."""
    query = sql.SQL("SELECT receipt FROM {} WHERE id = %s").format(log.table)
    row = log.session.execute(query, [receipt.event]).fetchone()
    try:
        return row is not None and Receipt.of(row[0]).digest == receipt.digest
    except SwitchError:
        return False


_ACCOUNTED = "SELECT coalesce(sum((details->>'writes')::bigint), 0)::bigint FROM {}"


def accounted(log: Log) -> int:
    """Return how many writes of the table its own rows account for."""
    row = log.session.execute(sql.SQL(_ACCOUNTED).format(log.table)).fetchone()
    return int(row[0]) if row else 0
