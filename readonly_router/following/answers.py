"""What the catalog says of a writer's switch: the questions and their answers, and nothing is kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import connections
from psycopg import sql
from psycopg.pq import TransactionStatus

from .. import conf
from ..errors import message
from ..mark import CHANNEL, EVENTS, MARKED, SETTING, WRITABLE_LOCK
from ..mode import Switch
from .watch import plain_cursor

logger = logging.getLogger("readonly_router")

# The database's OID, and when the server started.
Instance = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the catalog says of one writer's switch; `position` is the place in the WAL it was read at (bytes).

    `mark` is how the setting is spelt, another for each `on`; empty when the switch is off. `version` is that of
    its row, which other settings of the role move too. `instance` is where the session leads: the database's OID,
    and when the server started. `writable`: it reports itself that it may write; a pooler's word does not count.
    """

    mark: str
    version: str
    pid: int
    standby: bool
    position: int
    instance: Instance
    writable: bool

    @property
    def read_only(self) -> bool:
        return bool(self.mark)


# Names and operators are spelt whole: the site's search_path may hold others.
_ASK = """SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery(),
    (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
          ELSE pg_catalog.pg_current_wal_insert_lsn() END) OPERATOR(pg_catalog.-) '0/0'::pg_catalog.pg_lsn,
    m.mark, m.version, (SELECT d.oid::pg_catalog.int8 FROM pg_catalog.pg_database d
        WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()),
    (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())
        OPERATOR(pg_catalog.*) 1000000::pg_catalog.float8)::pg_catalog.int8
    FROM (SELECT pg_catalog.split_part(pg_catalog.max(c), '=', 2) AS mark,
                 pg_catalog.max(s.xmin::pg_catalog.text) AS version
        FROM pg_catalog.pg_db_role_setting s
        JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) s.setdatabase
        JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) s.setrole,
        pg_catalog.unnest(s.setconfig) c
        WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
          AND (r.rolname OPERATOR(pg_catalog.=) %(writer)s::pg_catalog.text
               OR %(writer)s::pg_catalog.text OPERATOR(pg_catalog.=) ''
                  AND r.rolname OPERATOR(pg_catalog.<>) %(twin)s::pg_catalog.text)
          AND c OPERATOR(pg_catalog.=) ANY (%(marked)s::pg_catalog.text[])) m"""
_PATIENCE = """SELECT pg_catalog.set_config('statement_timeout', '0', true),
    pg_catalog.set_config('lock_timeout', '0', true)"""
_LISTENED_ON = """SELECT EXISTS (SELECT FROM pg_catalog.pg_listening_channels() c
    WHERE c OPERATOR(pg_catalog.<>) %(channel)s::pg_catalog.text)"""
# Where Django finds the table of events, if it is the site's: where PUBLIC may create in a schema of the site's
# path, anybody can make one of that name, with code that would run as whoever reads it.
_TABLE = """SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    JOIN pg_catalog.pg_database d ON d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
    JOIN pg_catalog.pg_roles o ON o.oid OPERATOR(pg_catalog.=) c.relowner
    LEFT JOIN pg_catalog.pg_roles w ON w.rolname OPERATOR(pg_catalog.=) %(writer)s::pg_catalog.text
    WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(%(table)s::pg_catalog.text)::pg_catalog.oid
      AND c.relkind OPERATOR(pg_catalog.=) 'r'::pg_catalog."char"
      AND (o.rolsuper OR c.relowner OPERATOR(pg_catalog.=) ANY (ARRAY[w.oid, d.datdba, n.nspowner])
           OR (NOT w.rolsuper AND pg_catalog.pg_has_role(w.oid, c.relowner, 'MEMBER')))"""
# By its role: another site of the same database may use the same alias. What was said last of a switch counts.
_EVENT = """WITH own AS (SELECT id, at, kind::pg_catalog.text AS kind, reason, eta, by FROM {}
        WHERE kind::pg_catalog.text OPERATOR(pg_catalog.=) ANY (ARRAY['on', 'amended']::pg_catalog.text[])
          AND (roles OPERATOR(pg_catalog.@>) pg_catalog.to_jsonb(ARRAY[%(writer)s::pg_catalog.text])
               OR (%(writer)s::pg_catalog.text OPERATOR(pg_catalog.=) ''
                   AND alias OPERATOR(pg_catalog.=) %(alias)s::pg_catalog.text)))
    SELECT o.at, s.reason, s.eta, o.by
    FROM (SELECT id, at, by FROM own WHERE kind OPERATOR(pg_catalog.=) 'on' ORDER BY id DESC LIMIT 1) o,
         LATERAL (SELECT reason, eta FROM own WHERE id OPERATOR(pg_catalog.>=) o.id ORDER BY id DESC LIMIT 1) s"""


_OPEN = """SELECT (SELECT pg_catalog.set_config(%(setting)s::pg_catalog.text, 'off', false) FROM
    (SELECT pg_catalog.pg_try_advisory_lock_shared(
        pg_catalog.hashtextextended(%(lock)s::pg_catalog.text, 0::pg_catalog.int8)) AS got) l
    WHERE l.got)"""


def ask(connection: Any, query: Any, said: Mapping[str, Any]) -> Any:
    """Return the first row of a question of ours, whatever the application made of its session.

    Where a timeout of the application's cuts it short, once more without one, in a transaction of its own.
    """
    alone = connection.pgconn.transaction_status == TransactionStatus.IDLE
    try:
        return _row(connection, query, said)
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
        if not alone:
            raise
        if not connection.autocommit:
            connection.rollback()
        with connection.transaction():
            _row(connection, _PATIENCE, {})
            return _row(connection, query, said)


def _row(connection: Any, query: Any, said: Mapping[str, Any]) -> Any:
    return plain_cursor(connection).execute(query, said, prepare=False).fetchone()


def answer_of(alias: str, writer: str, connection: Any) -> Answer:
    """Ask for the switch of an alias whose writer logs in by a name, empty where that is not known."""
    # Any role's mark counts then, but not what the twin gave itself.
    twin = named_login(conf.twins()[alias])
    said = {"writer": writer, "twin": twin, "marked": MARKED}
    row = ask(connection, _ASK, said)
    pid, standby, position, mark, version, oid, started = row
    return Answer(
        pid=pid,
        standby=standby,
        position=int(position or 0),
        mark=mark or "",
        version=version or "",
        instance=(oid, started),
        writable=pid == connection.info.backend_pid and connection.info.parameter_status(SETTING) == "off",
    )


def said_of(alias: str, writer: str, connection: Any) -> Switch:
    """Return what the operator said; a table that is not there, or not readable, tells nothing."""
    try:
        said = {"writer": writer, "alias": alias, "table": EVENTS}
        row = ask(connection, _TABLE, said)
        if row is not None:
            row = ask(connection, sql.SQL(_EVENT).format(sql.Identifier(*row)), said)
    except psycopg.Error as error:
        if connection.broken:
            raise  # the session ended meanwhile: that is not for the one who asked to overlook
        logger.info("No event of the switch of '%s' can be read: %s", alias, message(error))
        row = None
    return Switch() if row is None else Switch(since=row[0], reason=row[1], eta=row[2], by=row[3])


def is_opened(connection: Any) -> bool:
    """Let a session write to its end; return whether it may, which it may not while the switch is being thrown."""
    row = ask(connection, _OPEN, {"setting": SETTING, "lock": WRITABLE_LOCK})
    # Not rolled back, which would take the setting back.
    if not connection.autocommit:
        connection.commit()
    return row[0] is not None


def is_listened_on(connection: Any) -> bool:
    """Return whether the application waits for news of its own on a session at rest."""
    row = ask(connection, _LISTENED_ON, {"channel": CHANNEL})
    if not connection.autocommit:
        connection.rollback()
    return bool(row[0])


def named_login(alias: str) -> str:
    """Return the login name of an alias as DATABASES gives it; empty where libpq finds it elsewhere."""
    entry: Mapping[str, Any] = connections.settings[alias]
    return str(entry["USER"] or entry["OPTIONS"].get("user") or "")
