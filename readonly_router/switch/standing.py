"""Where the database stands, and who may have moved it: ids, sequences, row counters, sessions not counted yet."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg import sql

from ..errors import SwitchError
from ..logins import Session
from .catalog import Connection, prepared
from .events import Log, accounted
from .receipt import NOT_COUNTED, Horizon
from .targets import Hands

# No backend reports its counters later than this after it became idle (PGSTAT_IDLE_INTERVAL, 10 s);
# PostgreSQL 14's has no such limit.
SETTLE_SECONDS = 11.0


_PLACE = """SELECT (SELECT system_identifier::text FROM pg_control_system()), current_database()::text,
    (SELECT oid::bigint FROM pg_database WHERE datname = current_database()),
    -- Of the WAL: a promoted standby's control file still has the old one until its first checkpoint.
    ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int,
    pg_current_wal_insert_lsn()::text,
    pg_snapshot_xmax(s)::text::bigint, ARRAY(SELECT x::text::bigint FROM pg_snapshot_xip(s) x ORDER BY 1),
    (SELECT CASE WHEN current_setting('track_counts')::bool THEN coalesce(stats_reset::text, '') ELSE %s END
     FROM pg_stat_database WHERE datname = current_database())
    FROM pg_current_snapshot() s"""


# Without the events of the switch itself, which are counted by their own rows, and what ANALYZE writes.
_COUNTERS = """SELECT format('%%I.%%I', s.schemaname, s.relname), n_tup_ins + n_tup_upd + n_tup_del, s.relid = %s
    FROM pg_stat_all_tables s JOIN pg_class c ON c.oid = s.relid
    WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 AND NOT c.relisshared
      AND NOT (s.schemaname = 'pg_catalog' AND s.relname IN ('pg_statistic', 'pg_statistic_ext_data'))
      AND s.schemaname !~ '^pg_(temp|toast)'"""


def horizon(hands: Hands, log: Log | None) -> Horizon:
    """Return where the database stands, in whole. Writes nothing, and takes no transaction id.

    Sequences are read as the site: between the look for one and its reading the owner may put a view in its place.
    """
    counters = _settled_counters(hands.site, log)
    return replace(
        place(hands.site),
        **_sequences(hands, log.oid if log is not None else 0),
        prepared=prepared(hands.site),
        counters=counters,
    )


def place(connection: Connection) -> Horizon:
    """Return where the database stands, without its sequences, prepared transactions and counters."""
    row = connection.execute(_PLACE, [NOT_COUNTED]).fetchone()
    if row is None:
        raise SwitchError("PostgreSQL did not say where the database stands.")
    system, database, oid, timeline, lsn, next_xid, running, since = row
    return Horizon(
        system_identifier=system,
        database=database,
        database_oid=oid,
        timeline=timeline,
        lsn=lsn,
        next_xid=next_xid,
        running=tuple(running),
        counters_since=since or "",
    )


def _settled_counters(connection: Session, log: Log | None) -> dict[str, int]:
    if connection.info.server_version >= 150000:
        # What this session itself wrote a moment ago is to be among them.
        connection.execute("SELECT pg_stat_force_next_flush()")
        return _counters(connection, log)
    # PostgreSQL 14: a session reports at the end of a statement, at most every 500 ms, and the collector writes
    # its file as seldom.
    time.sleep(0.6)
    connection.execute("SELECT")
    counters = _counters(connection, log)
    while True:
        time.sleep(0.6)
        before, counters = counters, _counters(connection, log)
        if before == counters:
            return counters


def _counters(connection: Session, log: Log | None) -> dict[str, int]:
    """Return the rows written in each table; of the events those alone that they do not account for themselves."""
    rows = connection.execute(_COUNTERS, [log.oid if log is not None else 0])
    found = {name: (int(count), is_log) for name, count, is_log in rows}
    own = accounted(log) if log is not None else 0
    return {name: count - (own if is_log else 0) for name, (count, is_log) in found.items()}


_SEQUENCE_NAMES = """SELECT c.oid::bigint, n.nspname::text, c.relname::text,
    format('%%I.%%I', n.nspname, c.relname),
    has_sequence_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'), s.seqincrement
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid
    WHERE c.relkind = 'S' AND c.relpersistence <> 't'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.refobjid = %s) ORDER BY 4"""


_SEQUENCE_BATCH = 500


def _sequences(hands: Hands, events: int) -> dict[str, Any]:
    """Return what a horizon says of sequences."""
    site = hands.site
    found = site.execute(_SEQUENCE_NAMES, [events]).fetchall()
    readable = [row for row in found if row[4]]
    values = _by_oid(hands.operator)
    values.update(_by_oid(site) if site.info.server_version >= 180000 else _by_name(site, readable))
    return {
        "sequences": {name: values[oid] for oid, _, _, name, _, _ in found if oid in values},
        "steps": {name: step for oid, _, _, name, _, step in found if step != 1 and oid in values},
        "unreadable": tuple(name for oid, _, _, name, _, _ in found if oid not in values),
    }


def _by_oid(connection: Session) -> dict[int, tuple[int, bool]]:
    """Return what a login may know of sequences without naming one: an admin reads no relation of the site.

    Before 18 the value of a sequence that was not called yet is not told, and is taken for 0.
    https://www.postgresql.org/docs/18/functions-sequence.html
    """
    query = _DATA if connection.info.server_version >= 180000 else _LAST_VALUE
    return {oid: (last, called) for oid, last, called in connection.execute(query)}


# OFFSET 0 keeps the functions away from what is no sequence, and CASE one from another in the same WHERE.
_DATA = """SELECT c.oid::bigint, d.last_value, d.is_called FROM
    (SELECT oid FROM pg_class WHERE relkind = 'S' AND relpersistence <> 't' OFFSET 0) c,
    pg_get_sequence_data(c.oid) d WHERE d.last_value IS NOT NULL"""
_LAST_VALUE = """SELECT oid::bigint, coalesce(last, 0), last IS NOT NULL FROM (
    SELECT c.oid, pg_sequence_last_value(c.oid) AS last FROM (SELECT oid FROM pg_class WHERE relkind = 'S'
      AND relpersistence <> 't' AND CASE relkind WHEN 'S' THEN has_sequence_privilege(oid, 'SELECT, USAGE') END
      OFFSET 0) c) s"""


def _by_name(site: Session, readable: list[Any]) -> dict[int, tuple[int, bool]]:
    values: dict[int, tuple[int, bool]] = {}
    for start in range(0, len(readable), _SEQUENCE_BATCH):
        parts = [
            sql.SQL("SELECT {}::bigint, last_value, is_called FROM {}").format(
                sql.Literal(oid), sql.Identifier(schema, name)
            )
            for oid, schema, name, *_ in readable[start : start + _SEQUENCE_BATCH]
        ]
        rows = site.execute(sql.SQL(" UNION ALL ").join(parts))
        values.update({oid: (last, called) for oid, last, called in rows})
    return values


# An id that is taken is in no snapshot until a later one is over, but its holder locks it, for everybody to see.
_WRITING = """SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted
      AND a.datname = current_database() AND a.pid <> ALL (%s))"""


def somebody_writes(hands: Hands) -> bool:
    """Return whether another session of this database has a transaction open that may have written."""
    row = hands.operator.execute(_WRITING, [list(hands.pids)]).fetchone()
    return bool(row and row[0])


_UNSETTLED = """SELECT format('process %%s of ''%%s''', a.pid, a.usename) FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.pid <> ALL (%(own)s) AND a.usename IS NOT NULL
      -- A twin's is not waited for between its transactions: on a site at work there is always one.
      AND (NOT a.usename = ANY (%(reading)s) OR a.xact_start < %(asked)s)
      AND (a.state_change IS NULL OR a.backend_xid IS NOT NULL
           OR (a.state_change > clock_timestamp() - %(settle)s * interval '1 second'
               -- One that is at work reports when it becomes idle, at most once a second (PGSTAT_MIN_INTERVAL).
               AND NOT (a.state = 'idle' AND a.state_change > %(asked)s + interval '1.1 seconds'))
           -- It reports when it is idle, and has not been since. One at work since before may have committed, as
           -- a procedure, a DO or a text of several statements does.
           OR (a.state <> 'idle' AND (a.state_change > %(since)s OR a.state !~ '^idle')
               AND (a.backend_type <> 'walsender' OR a.backend_start > %(since)s))
           OR (%(never)s AND a.state_change BETWEEN %(since)s AND %(asked)s + interval '1.1 seconds'))
    ORDER BY a.pid"""


def unsettled(hands: Hands, *, since: datetime, asked: datetime, reading: Iterable[str]) -> tuple[str, ...]:
    """Return the sessions of which the server may not have counted yet what they wrote from `since` to `asked`.

    `reading` are twins.
    """
    wanted = {
        "since": since,
        "asked": asked,
        "reading": list(reading),
        "settle": SETTLE_SECONDS,
        "never": hands.operator.info.server_version < 150000,
        "own": list(hands.pids),
    }
    return tuple(row[0] for row in hands.operator.execute(_UNSETTLED, wanted))
