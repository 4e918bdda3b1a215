"""Logs in as the twin and proves the result: what it can read, what it is refused, what it can still do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from psycopg import sql

from .logins import first_line
from .spec import Gap, Power, Proof, Role

# read_only_sql_transaction, insufficient_privilege
REFUSED = frozenset({"25006", "42501"})
# What nobody could read: a materialized view not populated yet, and a relation dropped since it was listed.
UNPOPULATED, DROPPED = "55000", "42P01"

_SESSION = "SELECT current_setting('default_transaction_read_only'), pg_is_in_recovery()"

# As the twin: effective privileges, so memberships and PUBLIC count.
# Relations that the privilege alone does not settle: not granted, or views, foreign tables and row-level security.
_UNSETTLED = """SELECT n.nspname, c.relname, c.relkind::text, p.allowed,
    has_table_privilege(%(writer)s, c.oid, 'SELECT'), c.relrowsecurity {relations}
    AND (NOT p.allowed OR c.relkind IN ('v', 'm', 'f') OR c.relrowsecurity) ORDER BY 1, 2"""
_SETTLED = """SELECT count(*) {relations} AND p.allowed AND c.relkind IN ('r', 'p', 'S')
    AND NOT c.relrowsecurity"""
_RELATIONS = """FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL (SELECT
      has_schema_privilege(n.oid, 'USAGE') AND CASE c.relkind
        WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
        ELSE has_table_privilege(c.oid, 'SELECT') END AS allowed) p
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY(%(schemas)s::text[]))"""

# A list of privileges asks for any of them: one call a relation, and names only where there is something to name.
_WRITABLE = """SELECT format('%%I.%%I', n.nspname, c.relname), p.privilege
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
    LATERAL (SELECT string_agg(privilege, ', ') AS privilege FROM unnest(%(privileges)s::text[]) privilege
             WHERE CASE WHEN c.relkind = 'S' THEN privilege IN ('USAGE', 'UPDATE')
                             AND has_sequence_privilege(c.oid, privilege)
                        WHEN privilege = 'USAGE' THEN false
                        ELSE has_table_privilege(c.oid, privilege)
                             OR privilege IN ('INSERT', 'UPDATE', 'REFERENCES')
                                AND has_any_column_privilege(c.oid, privilege) END) p
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND CASE c.relkind
        WHEN 'S' THEN has_sequence_privilege(c.oid, 'USAGE, UPDATE')
        WHEN 'i' THEN false WHEN 'I' THEN false WHEN 't' THEN false WHEN 'c' THEN false
        ELSE has_table_privilege(c.oid, %(any)s)
             OR has_any_column_privilege(c.oid, 'INSERT, UPDATE, REFERENCES') END
    ORDER BY 1"""

# One ordinary table with a plain column, one sequence, one materialized view to try writes on.
_SAMPLE = """SELECT n.nspname, c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    WHERE c.relkind = ANY (%(kinds)s::text[]) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY(%(schemas)s::text[]))
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
    readable, unreadable = _reads(connection, wanted)
    landed = [*_session_powers(connection, wanted), *_privileges(connection, wanted)]
    refused = 0
    # A standby takes no SET TRANSACTION READ WRITE, so there is nothing to try again with the setting off.
    standby = _one(connection, "SELECT pg_is_in_recovery()")[0]
    probes = list(_probes(connection, wanted))
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
    )


def audit(connection: psycopg.Connection[Any], wanted: Role) -> tuple[tuple[Gap, ...], tuple[Power, ...]]:
    """Return what the twin cannot read and what it can write by privilege; tries no write."""
    _, unreadable = _reads(connection, wanted)
    powers = (
        *_other_login(connection, wanted),
        *_session_powers(connection, wanted),
        *_privileges(connection, wanted),
    )
    return tuple(unreadable), powers


def _other_login(connection: psycopg.Connection[Any], wanted: Role) -> Iterator[Power]:
    user, session = _one(connection, "SELECT current_user::text, session_user::text")
    if user != wanted.name or session != wanted.name:
        yield Power(says=f"the twin's login is role '{session}' acting as '{user}', not '{wanted.name}'")


def _session_powers(connection: psycopg.Connection[Any], wanted: Role) -> Iterator[Power]:
    read_only, standby = _one(connection, _SESSION)
    if read_only != "on" and not standby:
        yield Power(
            says="the twin's sessions do not start read-only",
            statement=f"ALTER ROLE {_name(wanted.name)} SET default_transaction_read_only = on",
        )


def _reads(connection: psycopg.Connection[Any], wanted: Role) -> tuple[int, list[Gap]]:
    parameters, unreadable = _parameters(wanted), []
    settled = connection.execute(_SETTLED.format(relations=_RELATIONS).encode(), parameters).fetchone()
    readable = settled[0] if settled else 0
    rows = connection.execute(_UNSETTLED.format(relations=_RELATIONS).encode(), parameters).fetchall()
    for schema, name, kind, allowed, writer_reads, row_security in rows:
        target = sql.Identifier(schema, name)
        error = _read(connection, target, kind) if allowed else "permission denied"
        if error is None:
            readable += 1
        elif writer_reads:
            unreadable.append(_unreadable(wanted, target, error, row_security))
    return readable, unreadable


def _read(connection: psycopg.Connection[Any], target: sql.Identifier, kind: str) -> str | None:
    try:
        connection.execute(sql.SQL("SELECT FROM {} LIMIT 0").format(target))
    except psycopg.Error as error:
        harmless = {DROPPED} if kind == "f" else {DROPPED, UNPOPULATED}
        return None if error.sqlstate in harmless else first_line(error)
    return None


def _unreadable(wanted: Role, target: sql.Identifier, error: str, row_security: bool) -> Gap:
    name, role = target.as_string(None), _name(wanted.name)
    statement = f"GRANT SELECT ON {name} TO {role}"
    if row_security and "row-level security" in error:
        statement = f"CREATE POLICY readonly_router ON {name} FOR SELECT TO {role} USING (true)"
    elif "user mapping" in error:
        statement = f"CREATE USER MAPPING FOR {role} SERVER ... OPTIONS (user ..., password ...)"
    return Gap(says=f"{name} is not readable: {error}", statement=statement)


def _privileges(connection: psycopg.Connection[Any], wanted: Role) -> Iterator[Power]:
    role = _name(wanted.name)
    privileges = ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
    if connection.info.server_version >= 170000:
        privileges.append("MAINTAIN")
    parameters = {"privileges": [*privileges, "USAGE"], "any": ", ".join(privileges)}
    for target, held in connection.execute(_WRITABLE.encode(), parameters):
        yield Power(says=f"{held} on {target}", statement=f"REVOKE {held} ON {target} FROM PUBLIC, {role}")


def _probes(connection: psycopg.Connection[Any], wanted: Role) -> Iterator[sql.Composed]:
    names: dict[str, sql.Composable] = {
        "role": sql.Identifier(wanted.name),
        "writer": sql.Identifier(wanted.writer),
    }
    yield from (sql.SQL(text).format(**names) for text in _ROLE_PROBES)
    for kinds, texts in ((("r", "p"), _TABLE_PROBES), (("S",), _SEQUENCE_PROBES), (("m",), _MATVIEW_PROBES)):
        row = connection.execute(_SAMPLE, {**_parameters(wanted), "kinds": list(kinds)}).fetchone()
        if row:
            table = sql.Identifier(row[0], row[1])
            names.update(table=table, column=sql.Identifier(row[2]), literal=sql.Literal(table.as_string(None)))
            yield from (sql.SQL(text).format(**names) for text in texts)


def _try(connection: psycopg.Connection[Any], probe: sql.Composed, *, switched_off: bool) -> str:
    """Return what happened when a probe was not refused; empty when PostgreSQL refused it. Rolled back always."""
    text = probe.as_string(None)
    try:
        with connection.transaction(force_rollback=True):
            # LOCAL: behind a pooler the session is the site's own.
            connection.execute("SET LOCAL lock_timeout = '2s'")
            if switched_off:
                connection.execute("SET TRANSACTION READ WRITE")
            connection.execute(probe)
    except psycopg.Error as error:
        if error.sqlstate in REFUSED:
            return ""
        return f"could not be judged ({error.sqlstate}): {text}"
    return f"was not refused: {text}"


def _standing_powers(connection: psycopg.Connection[Any], wanted: Role) -> Iterator[Power]:
    """Yield what stock PostgreSQL leaves to any login, and what this server adds."""
    role = _name(wanted.name)
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


def _parameters(wanted: Role) -> dict[str, Any]:
    return {"writer": wanted.writer, "schemas": list(wanted.schemas) if wanted.schemas is not None else None}


def _one(connection: psycopg.Connection[Any], query: str) -> tuple[Any, ...]:
    return tuple(connection.execute(query.encode()).fetchone() or ())


def _name(name: str) -> str:
    return sql.Identifier(name).as_string(None)
