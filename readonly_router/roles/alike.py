"""What the twin may do with the site's relations, asked as the twin, once for all that are alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

from ..logins import one_line
from .spec import Gap, Power, Role
from .statements import quoted

# What nobody could read: a materialized view not populated yet, and a relation dropped since it was listed.
UNPOPULATED, DROPPED = "55000", "42P01"

# Where PUBLIC may create, anybody's views and tables are among the site's: what hangs on them would run as the
# twin, which reads everything, also while a query is only planned.
OF_SITE = """EXISTS (SELECT FROM pg_database d JOIN pg_roles o ON o.oid = {owner}
      LEFT JOIN pg_roles w ON w.rolname = %(writer)s
      WHERE d.datname = current_database() AND (o.rolsuper OR o.oid = ANY (ARRAY[w.oid, d.datdba, {schema_owner}])
        OR pg_has_role(o.oid, w.oid, 'MEMBER') OR (NOT w.rolsuper AND pg_has_role(w.oid, o.oid, 'MEMBER'))))"""

# Effective privileges, so memberships and PUBLIC count. Each is asked once for all relations that are alike
# (schema, kind, owner, ACL; one with grants on columns is like no other), of the first that is still there: of one
# dropped meanwhile PostgreSQL says NULL. A list of privileges asks for any of them. Names come only with what the
# privilege alone does not settle, and with what can be written.
_RELATIONS = """SELECT r.schema, r.kind, one.usage, one.readable, r.runs, {of_site} AS of_site,
    CASE WHEN named THEN has_table_privilege(%(writer)s, one.oid, 'SELECT') END AS of_writer,
    cardinality(r.members) AS count,
    CASE WHEN named THEN ARRAY(SELECT format('%%I.%%I', r.schema, relname) FROM pg_class
                               WHERE oid = ANY (r.members) ORDER BY 1)
        ELSE ARRAY[]::text[] END AS targets,
    CASE WHEN one.writable THEN coalesce((SELECT string_agg(p, ', ') FROM unnest(%(privileges)s::text[]) p
        WHERE CASE WHEN r.kind = 'S' THEN p IN ('USAGE', 'UPDATE') AND has_sequence_privilege(one.oid, p)
                   WHEN p = 'USAGE' THEN false
                   ELSE has_table_privilege(one.oid, p) OR p IN ('INSERT', 'UPDATE', 'REFERENCES')
                        AND has_any_column_privilege(one.oid, p) END), %(any)s) END AS writes
    FROM (SELECT n.oid AS namespace, n.nspname AS schema, n.nspowner, c.relkind::text AS kind, c.relowner,
                 c.relkind IN ('v', 'm', 'f') OR c.relrowsecurity AS runs, array_agg(c.oid) AS members
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          LEFT JOIN (SELECT DISTINCT attrelid FROM pg_attribute WHERE attacl IS NOT NULL) a ON a.attrelid = c.oid
          WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
          GROUP BY n.oid, c.relkind, c.relowner, c.relrowsecurity, c.relacl, a.attrelid) r,
    LATERAL (SELECT m.oid, answer.* FROM unnest(r.members) m (oid), LATERAL (SELECT
        has_schema_privilege(r.namespace, 'USAGE') AS usage,
        CASE r.kind WHEN 'S' THEN has_sequence_privilege(m.oid, 'SELECT')
                    ELSE has_table_privilege(m.oid, 'SELECT') END AS readable,
        CASE r.kind WHEN 'S' THEN has_sequence_privilege(m.oid, 'USAGE, UPDATE')
                    ELSE has_table_privilege(m.oid, %(any)s)
                         OR has_any_column_privilege(m.oid, 'INSERT, UPDATE, REFERENCES') END AS writable
        OFFSET 0) answer WHERE answer IS NOT NULL LIMIT 1) one,
    LATERAL (SELECT one.writable OR r.runs OR NOT (one.usage AND one.readable) AS named) n"""


@dataclass(frozen=True, kw_only=True)
class Alike:
    """Relations that are alike, and what the twin may do with each.

    `runs`: reading one may run code; `writes` are the privileges beyond reading, `targets` empty where there is
    nothing to tell.
    """

    schema: str
    kind: str
    usage: bool
    readable: bool
    runs: bool
    of_site: bool
    of_writer: bool | None
    count: int
    targets: Sequence[str]
    writes: str | None

    @property
    def keyword(self) -> str:
        """What stands before its name in GRANT and REVOKE."""
        return "SEQUENCE " if self.kind == "S" else ""


def relations(connection: psycopg.Connection[Any], wanted: Role) -> list[Alike]:
    """Return what a session of the twin may do with every relation of the site."""
    privileges = ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
    if connection.info.server_version >= 170000:
        privileges.append("MAINTAIN")
    query = _RELATIONS.format(of_site=OF_SITE.format(owner="r.relowner", schema_owner="r.nspowner"))
    parameters = {"writer": wanted.writer, "privileges": [*privileges, "USAGE"], "any": ", ".join(privileges)}
    with connection.transaction():
        # To compile would take longer than the answer.
        connection.execute("SET LOCAL jit = off")
        found = connection.execute(query.encode(), parameters)
    found.row_factory = class_row(Alike)
    return sorted(found, key=lambda alike: (alike.schema, alike.kind))


def reads(
    connection: psycopg.Connection[Any], wanted: Role, found: Iterable[Alike]
) -> tuple[int, list[Gap], list[str]]:
    """Return how many relations are readable, which are not, and which are not of the site, so were not tried."""
    readable, unreadable, untried = 0, list[Gap](), list[str]()
    for alike in found:
        if wanted.schemas is not None and alike.schema not in wanted.schemas:
            continue
        if not (alike.usage and alike.readable):
            unreadable += _ungranted(wanted, alike)
        elif not alike.runs:
            readable += alike.count
        elif not alike.of_site:
            untried += alike.targets
        else:
            errors = {target: _read(connection, target, alike.kind) for target in alike.targets}
            readable += sum(error is None for error in errors.values())
            if alike.of_writer is not False:
                unreadable += [_unreadable(wanted, target, error) for target, error in errors.items() if error]
    return readable, unreadable, untried


def _ungranted(wanted: Role, alike: Alike) -> Iterator[Gap]:
    """Yield what the twin was not granted and the writer reads."""
    role = quoted(wanted.name)
    usage = [] if alike.usage else [f"GRANT USAGE ON SCHEMA {quoted(alike.schema)} TO {role}"]
    for target in alike.targets if alike.of_writer is not False else ():
        select = [] if alike.readable else [f"GRANT SELECT ON {alike.keyword}{target} TO {role}"]
        yield Gap(says=f"{target} is not readable: permission denied", statement="; ".join((*usage, *select)))


def _read(connection: psycopg.Connection[Any], target: str, kind: str) -> str | None:
    query = f"SELECT FROM {target} LIMIT 0".encode()
    try:
        try:
            connection.execute(query)
        except psycopg.Error:
            # A function of a view may need the site's own path, which is safe for a query without a name of ours.
            with connection.transaction():
                connection.execute("SET LOCAL search_path TO DEFAULT")
                connection.execute(query)
    except psycopg.Error as error:
        harmless = {DROPPED} if kind == "f" else {DROPPED, UNPOPULATED}
        return None if error.sqlstate in harmless else one_line(error)
    return None


def _unreadable(wanted: Role, target: str, error: str) -> Gap:
    role = quoted(wanted.name)
    statement = f"GRANT SELECT ON {target} TO {role}"
    if "row-level security" in error:
        statement = f"CREATE POLICY readonly_router ON {target} FOR SELECT TO {role} USING (true)"
    elif "user mapping" in error:
        statement = f"CREATE USER MAPPING FOR {role} SERVER ... OPTIONS (user ..., password ...)"
    return Gap(says=f"{target} is not readable: {error}", statement=statement)


def writes(wanted: Role, found: Iterable[Alike]) -> Iterator[Power]:
    """Yield each relation that the twin may write to by privilege."""
    role = quoted(wanted.name)
    for alike in found:
        for target in alike.targets if alike.writes else ():
            statement = f"REVOKE {alike.writes} ON {alike.keyword}{target} FROM PUBLIC, {role}"
            yield Power(says=f"{alike.writes} on {target}", statement=statement)
