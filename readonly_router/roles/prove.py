"""Logs in as the twin and proves the result: what it can read, what it is refused, what it can still do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql

from .alike import OF_SITE, Alike, reads, relations, writes
from .other_rights import other_rights
from .spec import Gap, Power, Proof, Role
from .statements import quoted

# read_only_sql_transaction, insufficient_privilege
REFUSED = frozenset({"25006", "42501"})

_SESSION = "SELECT current_setting('default_transaction_read_only'), pg_is_in_recovery()"

# One ordinary table with a plain column, one sequence, one materialized view to try writes on.
_SAMPLE = """SELECT n.nspname, c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
    LATERAL (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
             AND attgenerated = '' ORDER BY attnum LIMIT 1) a
    WHERE c.relkind = ANY (%(kinds)s::text[]) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY(%(schemas)s::text[])) AND {of_site}
    ORDER BY c.oid LIMIT 1"""

_TABLE_PROBES = (
    "INSERT INTO {table} ({column}) OVERRIDING SYSTEM VALUE SELECT {column} FROM {table} WHERE false",
    "UPDATE {table} SET {column} = DEFAULT WHERE false",
    "DELETE FROM {table} WHERE false",
    "WITH gone AS (DELETE FROM {table} WHERE false RETURNING 1) SELECT count(*) FROM gone",
    "DO $$ BEGIN EXECUTE 'DELETE FROM ' || {literal} || ' WHERE false'; END $$",
    "EXPLAIN ANALYZE DELETE FROM {table} WHERE false",
    "SELECT {column} FROM {table} LIMIT 0 FOR UPDATE",
    "ALTER TABLE {table} ADD COLUMN readonly_router_probe int",
    "CREATE INDEX ON {table} ({column})",
    "COMMENT ON TABLE {table} IS 'probe'",
    "LOCK TABLE {table} IN ROW EXCLUSIVE MODE",
)
_SEQUENCE_PROBES = ("ALTER SEQUENCE {table} INCREMENT BY 1",)
_MATVIEW_PROBES = ("REFRESH MATERIALIZED VIEW {table}",)
_ROLE_PROBES = (
    "CREATE SCHEMA readonly_router_probe",
    "CREATE ROLE readonly_router_probe",
    "ALTER ROLE {role} CREATEDB",
    "ALTER ROLE {writer} CONNECTION LIMIT 0",
    "SET ROLE {writer}",
    "SET SESSION AUTHORIZATION {writer}",
    "DROP OWNED BY {writer}",
)


def prove(connection: psycopg.Connection[Any], wanted: Role, powers: Iterable[Power]) -> Proof:
    """Return what a session of the twin shows; every probe is rolled back, and none waits long for a lock."""
    if strange := tuple(_other_login(connection, wanted)):
        # Not the twin: its probes could land, and would lock what they are tried on.
        return Proof(readable=0, unreadable=(), refused=0, landed=strange, powers=())
    found = relations(connection, wanted)
    readable, unreadable, untried = reads(connection, wanted, found)
    landed = _landed(connection, wanted, found)
    refused = 0
    # A standby takes no SET TRANSACTION READ WRITE, so there is nothing to try again with the setting off.
    standby = _one(connection, "SELECT pg_is_in_recovery()")[0]
    probes = list(_probes(connection, wanted, found))
    for switched_off in (False,) if standby else (False, True):
        for probe in probes:
            outcome = _try(connection, probe, switched_off=switched_off)
            if outcome:
                landed.append(Power(says=outcome))
            else:
                refused += 1
    return Proof(
        readable=readable,
        unreadable=tuple(unreadable),
        refused=refused,
        landed=tuple(dict.fromkeys(landed)),
        powers=(*powers, *_standing_powers(connection, wanted)),
        untried=tuple(untried),
    )


def audit(
    connection: psycopg.Connection[Any], wanted: Role, *, sequences: bool = True
) -> tuple[tuple[Gap, ...], tuple[Power, ...]]:
    """Return what the twin cannot read and what it can write by privilege; tries no write.

    Without `sequences` it is what a site reads: the value of a sequence is for pg_dump.
    """
    if strange := tuple(_other_login(connection, wanted)):
        # Views are read as the twin and as nobody else.
        return (), strange
    found = relations(connection, wanted)
    _, unreadable, _ = reads(connection, wanted, [each for each in found if sequences or each.kind != "S"])
    return tuple(unreadable), tuple(_landed(connection, wanted, found))


def _landed(connection: psycopg.Connection[Any], wanted: Role, found: Sequence[Alike]) -> list[Power]:
    return [
        *_session_powers(connection, wanted),
        *other_rights(connection, wanted),
        *writes(wanted, found),
    ]


def _other_login(connection: psycopg.Connection[Any], wanted: Role) -> Iterator[Power]:
    user, session = _one(connection, "SELECT current_user::text, session_user::text")
    if user != wanted.name or session != wanted.name:
        yield Power(says=f"the twin's login is role '{session}' acting as '{user}', not '{wanted.name}'")


def _session_powers(connection: psycopg.Connection[Any], wanted: Role) -> Iterator[Power]:
    read_only, standby = _one(connection, _SESSION)
    if read_only != "on" and not standby:
        yield Power(
            says="the twin's sessions do not start read-only",
            statement=f"ALTER ROLE {quoted(wanted.name)} SET default_transaction_read_only = on",
        )


def _probes(connection: psycopg.Connection[Any], wanted: Role, found: Sequence[Alike]) -> Iterator[sql.Composed]:
    names: dict[str, sql.Composable] = {
        "role": sql.Identifier(wanted.name),
        "writer": sql.Identifier(wanted.writer),
    }
    yield from (sql.SQL(text).format(**names) for text in _ROLE_PROBES)
    for kinds, texts in ((("r", "p"), _TABLE_PROBES), (("S",), _SEQUENCE_PROBES), (("m",), _MATVIEW_PROBES)):
        if row := _sample(connection, wanted, [alike for alike in found if alike.kind in kinds and alike.of_site]):
            table = sql.Identifier(row[0], row[1])
            names.update(table=table, column=sql.Identifier(row[2]), literal=sql.Literal(table.as_string(None)))
            yield from (sql.SQL(text).format(**names) for text in texts)


def _sample(connection: psycopg.Connection[Any], wanted: Role, found: Sequence[Alike]) -> tuple[Any, ...]:
    if not found:
        return ()
    parameters = {
        "writer": wanted.writer,
        "schemas": list(wanted.schemas) if wanted.schemas is not None else None,
        "kinds": [alike.kind for alike in found],
    }
    of_site = OF_SITE.format(owner="c.relowner", schema_owner="n.nspowner")
    return _one(connection, _SAMPLE.format(of_site=of_site), parameters)


def _try(connection: psycopg.Connection[Any], probe: sql.Composed, *, switched_off: bool) -> str:
    """Return what happened when a probe was not refused; empty when PostgreSQL refused it. Rolled back always."""
    text = probe.as_string(None)
    # LOCAL: behind a pooler the session is the site's own.
    first = "SET LOCAL lock_timeout = '2s'; " + ("SET TRANSACTION READ WRITE; " if switched_off else "")
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(sql.SQL("{}{}").format(sql.SQL(first), probe))
    except psycopg.Error as error:
        if error.sqlstate in REFUSED:
            return ""
        return f"could not be judged ({error.sqlstate}): {text}"
    return f"was not refused: {text}"


def _standing_powers(connection: psycopg.Connection[Any], wanted: Role) -> Iterator[Power]:
    """Yield what stock PostgreSQL leaves to any login, and what this server adds."""
    role = quoted(wanted.name)
    yield Power(
        says="switch its own default_transaction_read_only off; its grants still refuse writes to your data"
    )
    yield Power(says="NOTIFY, and ALTER ROLE on itself (password, settings)")
    yield Power(says="DROP OWNED BY itself, which ends its default privileges: run this command again")
    yield Power(says="ALTER DEFAULT PRIVILEGES for objects of its own")
    if int(_one(connection, "SHOW max_prepared_transactions")[0]) > 0:
        yield Power(
            says="PREPARE TRANSACTION, which holds locks past its session",
            statement="ALTER SYSTEM SET max_prepared_transactions = 0 -- and restart",
        )
    for (database,) in connection.execute(_OTHER_DATABASES).fetchall():
        statement = f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC"
        yield Power(says=f"connect to database {database}", statement=statement)
    for event, name in connection.execute(_EVENT_TRIGGERS).fetchall():
        yield Power(
            says=f"event trigger {name} runs on {event} for the twin too",
            statement=f"ALTER EVENT TRIGGER {name} DISABLE",
        )
    for (table,) in connection.execute(_FOREIGN_TABLES).fetchall():
        yield Power(
            says=f"foreign table {table}, and views over it, do on their server whatever reading them does there",
            statement=f"REVOKE SELECT ON {table} FROM {role}",  # noqa: S608 - shown, not run
        )


_OTHER_DATABASES = """SELECT quote_ident(datname) FROM pg_database
    WHERE datname <> current_database() AND datallowconn AND has_database_privilege(oid, 'CONNECT') ORDER BY 1"""
_EVENT_TRIGGERS = "SELECT evtevent, quote_ident(evtname) FROM pg_event_trigger WHERE evtenabled <> 'D' ORDER BY 2"
_FOREIGN_TABLES = """SELECT format('%I.%I', n.nspname, c.relname) FROM pg_foreign_table f
    JOIN pg_class c ON c.oid = f.ftrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE has_table_privilege(c.oid, 'SELECT') ORDER BY 1"""


def _one(
    connection: psycopg.Connection[Any], query: str, parameters: dict[str, Any] | None = None
) -> tuple[Any, ...]:
    return tuple(connection.execute(query.encode(), parameters).fetchone() or ())
