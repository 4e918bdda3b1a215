"""The frame of every catalog query: who may act for an owner, which schemas, and their common parameters."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from .spec import Actor, Role

# %% is psycopg's escape for a percent sign in a query with parameters.
SCHEMAS = """n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY(%(schemas)s::text[]))"""

# Who may act for an owner: the admin where it has the owner's privileges, else the writer where it has them.
ACTORS = """SELECT oid, rolname AS owner,
    CASE WHEN pg_has_role(current_user, oid, 'USAGE') THEN 'admin'
         WHEN pg_has_role(%(writer)s, oid, 'USAGE') THEN 'writer' END AS actor
    FROM pg_roles"""

# Relations as they are asked about: once for all that are alike. What a privilege function says of one it says of
# each that has the same kind, owner, schema and ACL.
ALIKE = """SELECT n.nspname AS schema, c.relkind::text AS kind, c.relowner AS owner, array_agg(c.oid) AS members,
    array_agg(c.relname) AS names
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {schemas}
    GROUP BY n.oid, c.relkind, c.relowner, c.relacl"""

_SERVER = """SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS in_recovery,
    current_user::text AS admin, u.rolsuper AS superuser, u.rolcreaterole AS createrole,
    d.oid AS database_oid, a.actor AS database_actor,
    (SELECT oid FROM pg_roles WHERE rolname = %(role)s) AS role_oid,
    (SELECT oid FROM pg_roles WHERE rolname = %(writer)s) AS writer_oid,
    (SELECT oid FROM pg_roles WHERE rolname = %(login)s) AS login_oid
    FROM pg_roles u, pg_database d JOIN ({actors}) a ON a.oid = d.datdba
    WHERE u.rolname = current_user AND d.datname = current_database()"""


# Default privileges FOR a role are its own to the catalogs, though another run may have made them, elsewhere too.
class Questions:
    """One connection's questions with their common parameters filled in."""

    def __init__(self, connection: psycopg.Connection[Any], wanted: Role) -> None:
        self.connection = connection
        self.parameters: dict[str, Any] = {
            "role": wanted.name,
            "writer": wanted.writer,
            "login": wanted.login or wanted.writer,
            "schemas": list(wanted.schemas) if wanted.schemas is not None else None,
        }
        self.server = self(_SERVER)[0]
        self.parameters.update(self.server)

    def __call__(self, query: str, **more: Any) -> list[dict[str, Any]]:
        text = query.format(actors=ACTORS, schemas=SCHEMAS, alike=ALIKE.format(schemas=SCHEMAS))
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(text.encode(), {**self.parameters, **more}).fetchall()


def acted(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "actor": actor(row["actor"])}


def actor(name: str | None) -> Actor | None:
    return Actor(name) if name else None
