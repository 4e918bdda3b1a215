"""Reads the catalogs: set-based queries that turn a database into the values of `spec`."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import psycopg

from ..mark import MARKED
from . import acl
from .acl import PUBLIC
from .questions import Questions, acted, actor
from .spec import Creator, Existing, Relations, Role, RoleState, Schema

_ROLE = """SELECT rolsuper AS superuser, rolcreaterole AS createrole, rolcreatedb AS createdb,
    rolreplication AS replication, rolbypassrls AS bypassrls, rolcanlogin AS canlogin,
    ARRAY(SELECT CASE WHEN dbid = %(database_oid)s OR dbid = 0 THEN pg_describe_object(classid, objid, objsubid)
                      ELSE 'an object of database ' || (SELECT datname FROM pg_database WHERE oid = dbid)
                 END FROM pg_shdepend
          WHERE refclassid = 'pg_authid'::regclass AND refobjid = r.oid AND deptype = 'o'
            AND classid NOT IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass) LIMIT 3) AS owns,
    ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid) AS member_of,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        OR (SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user)
           AND (current_setting('server_version_num')::int < 160000
                OR EXISTS (SELECT FROM pg_auth_members WHERE roleid = r.oid AND admin_option
                           AND pg_has_role(current_user, member, 'USAGE'))) AS alterable
    FROM pg_roles r WHERE r.oid = %(role_oid)s"""

# Only settings a plain role may set for itself are copied; see plan.RESULT_SETTINGS for which.
_SETTINGS = """SELECT setdatabase <> 0 AS in_database, split_part(s, '=', 1) AS name,
    substr(s, strpos(s, '=') + 1) AS value
    FROM pg_db_role_setting, unnest(setconfig) s
    WHERE setrole = %(oid)s AND setdatabase IN (0, %(database_oid)s)
      AND split_part(s, '=', 1) NOT IN (SELECT name FROM pg_settings WHERE context <> 'user')"""

_SCHEMA_ROWS = """SELECT n.nspname AS name, a.owner, a.actor,
    %(role_oid)s::oid IS NOT NULL AND has_schema_privilege(%(role_oid)s::oid, n.oid, 'USAGE') AS usage
    FROM pg_namespace n JOIN ({actors}) a ON a.oid = n.nspowner WHERE {schemas} ORDER BY 1"""

# has_*_privilege gives NULL for a relation dropped meanwhile: the next of those alike is asked.
_UNREADABLE = """SELECT r.kind, a.actor,
    array_agg(format('%%I.%%I', r.schema, name)) AS targets
    FROM ({alike}) r JOIN ({actors}) a ON a.oid = r.owner, unnest(r.names) name
    WHERE %(role_oid)s::oid IS NULL OR NOT (SELECT readable FROM unnest(r.members) one,
        LATERAL (SELECT CASE r.kind WHEN 'S' THEN has_sequence_privilege(%(role_oid)s::oid, one, 'SELECT')
                                    ELSE has_table_privilege(%(role_oid)s::oid, one, 'SELECT') END) q (readable)
        WHERE readable IS NOT NULL LIMIT 1)
    GROUP BY 1, 2 ORDER BY 1, 2"""

_LARGE_OBJECTS = """SELECT l.oid, a.actor FROM pg_largeobject_metadata l JOIN ({actors}) a ON a.oid = l.lomowner
    WHERE %(schemas)s::text[] IS NULL AND NOT EXISTS (SELECT FROM aclexplode(l.lomacl) x
        WHERE x.privilege_type = 'SELECT' AND x.grantee IN (0, %(role_oid)s::oid)) ORDER BY 1"""

# Not every role of the server that may create here only because PUBLIC may (before 15): an entry for each would
# keep it from being dropped.
_CREATORS = """WITH s AS (SELECT n.* FROM pg_namespace n WHERE {schemas}), c AS (
        SELECT datdba AS oid FROM pg_database WHERE datname = current_database()
        UNION SELECT %(writer_oid)s::oid
        UNION SELECT nspowner FROM s
        UNION SELECT c.relowner FROM pg_class c JOIN s ON s.oid = c.relnamespace
        UNION SELECT r.oid FROM pg_roles r, s, LATERAL (
            SELECT s.nspowner AS oid UNION SELECT grantee FROM aclexplode(s.nspacl)
            WHERE privilege_type = 'CREATE' AND grantee <> 0) holder
          WHERE NOT r.rolsuper AND pg_has_role(r.oid, holder.oid, 'MEMBER'))
    SELECT a.owner AS name, a.actor, coalesce(scope.nspname, '') AS schema, kind.type
    FROM c JOIN ({actors}) a USING (oid)
    CROSS JOIN (SELECT 0::oid AS oid, NULL AS nspname WHERE %(schemas)s::text[] IS NULL
                UNION ALL SELECT oid, nspname FROM s WHERE %(schemas)s::text[] IS NOT NULL) scope
    CROSS JOIN (VALUES ('r', 'SELECT'), ('S', 'SELECT'), ('n', 'USAGE'), ('L', 'SELECT')) kind (type, privilege)
    WHERE a.owner !~ '^pg_' AND c.oid IS DISTINCT FROM %(role_oid)s::oid
      AND (kind.type IN ('r', 'S') OR scope.oid = 0)
      AND (kind.type <> 'L' OR current_setting('server_version_num')::int >= 180000)
      AND NOT EXISTS (SELECT FROM pg_default_acl d, aclexplode(d.defaclacl) x
        WHERE d.defaclrole = c.oid AND d.defaclnamespace IN (0, scope.oid) AND d.defaclobjtype = kind.type::"char"
          AND x.grantee = %(role_oid)s::oid AND x.privilege_type = kind.privilege) ORDER BY 1, 3, 4"""

# Whether some table forces its policies, and whether the rows of one differ between writer and twin, where
# row-level security applies to one and not alike to the other:
# https://www.postgresql.org/docs/current/ddl-rowsecurity.html
_ROW_SECURITY = """SELECT coalesce(bool_or(c.relforcerowsecurity), false) AS forced,
    coalesce(bool_or(c.relrowsecurity
    AND NOT coalesce((SELECT rolbypassrls FROM pg_roles WHERE oid = %(role_oid)s::oid), false)
    AND CASE WHEN EXISTS (SELECT FROM pg_roles w WHERE w.oid = %(writer_oid)s AND (w.rolsuper OR w.rolbypassrls))
               OR (pg_has_role(%(writer_oid)s::oid, c.relowner, 'USAGE') AND NOT c.relforcerowsecurity)
        THEN NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive
                           AND p.polcmd IN ('r', '*') AND %(role_oid)s::oid = ANY (p.polroles)
                           AND pg_get_expr(p.polqual, p.polrelid) = 'true')
             OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND NOT p.polpermissive
                           AND p.polcmd IN ('r', '*')
                           AND (0 = ANY (p.polroles) OR %(role_oid)s::oid = ANY (p.polroles)))
        ELSE EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd IN ('r', '*')
                       AND NOT (0 = ANY (p.polroles)
                                OR coalesce(%(role_oid)s::oid = ANY (p.polroles), false))) END), false) AS filtered
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE (c.relrowsecurity OR c.relforcerowsecurity) AND {schemas}"""


def inspect(connection: psycopg.Connection[Any], wanted: Role) -> RoleState:
    """Return what the catalogs say about the wanted role; one query a question, none a relation."""
    ask = Questions(connection, wanted)
    server = ask.server
    own = _settings(ask, server["login_oid"])
    held, public = acl.excess(ask)
    defaults = acl.default_grants(ask)
    return RoleState(
        version=server["version"] // 10000,
        in_recovery=server["in_recovery"],
        admin=server["admin"],
        superuser=server["superuser"],
        createrole=server["createrole"],
        role=_existing(ask),
        connect=_connects(ask),
        database_actor=actor(server["database_actor"]),
        writer_settings=own[False],
        writer_database_settings=own[True],
        schemas=tuple(Schema(**acted(row)) for row in ask(_SCHEMA_ROWS)),
        unreadable=tuple(Relations(**acted(row)) for row in ask(_UNREADABLE)),
        large_objects=tuple((row["oid"], actor(row["actor"])) for row in ask(_LARGE_OBJECTS)),
        creators=_creators(ask(_CREATORS)),
        **ask(_ROW_SECURITY)[0],
        excess=held,
        default_excess=tuple(grant for grant in defaults[server["role_oid"]] if grant.writes),
        public=public,
        default_public=tuple(grant for grant in defaults[PUBLIC] if grant.writes),
    )


def _settings(ask: Questions, oid: int | None) -> dict[bool, dict[str, str]]:
    found: dict[bool, dict[str, str]] = {False: {}, True: {}}
    for row in ask(_SETTINGS, oid=oid):
        found[row["in_database"]][row["name"]] = row["value"]
    return found


def _connects(ask: Questions) -> bool:
    # A role that does not exist yet will have what PUBLIC has.
    who = "%(role_oid)s::oid" if ask.server["role_oid"] is not None else "'public'"
    return bool(ask(f"SELECT has_database_privilege({who}, %(database_oid)s, 'CONNECT') AS ok")[0]["ok"])


def _existing(ask: Questions) -> Existing | None:
    rows = ask(_ROLE)
    if not rows:
        return None
    settings = _settings(ask, ask.server["role_oid"])
    facts = {**rows[0], "owns": tuple(rows[0]["owns"]), "member_of": tuple(rows[0]["member_of"])}
    return Existing(**facts, settings=settings[False], database_settings=settings[True])


def _creators(rows: list[dict[str, Any]]) -> tuple[Creator, ...]:
    missing: dict[tuple[str, str | None], list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        missing[row["name"], row["actor"]].append((row["schema"], row["type"]))
    return tuple(
        Creator(name=name, actor=actor(may_act), missing=tuple(kinds))
        for (name, may_act), kinds in missing.items()
    )


def sessions_of(connection: psycopg.Connection[Any], wanted: Role) -> int:
    """Return how many sessions the role has, in any database of the server."""
    row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [wanted.name]).fetchone()
    return int(row[0]) if row else 0


def other_databases(connection: psycopg.Connection[Any], wanted: Role) -> tuple[str, ...]:
    """Return the other databases in which something depends on the role."""
    rows = connection.execute(
        "SELECT DISTINCT datname FROM pg_shdepend d JOIN pg_database b ON b.oid = d.dbid "
        "WHERE refclassid = 'pg_authid'::regclass AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s) "
        "AND datname <> current_database() ORDER BY 1",
        [wanted.name],
    )
    return tuple(row[0] for row in rows)


def dependents(connection: psycopg.Connection[Any], wanted: Role) -> tuple[str, ...]:
    """Return what in this database keeps the role from being dropped and is no grant to it."""
    rows = connection.execute(
        "SELECT pg_describe_object(classid, objid, objsubid) FROM pg_shdepend "
        "WHERE refclassid = 'pg_authid'::regclass AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s) "
        "AND deptype <> 'a' "
        "AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1",
        [wanted.name],
    )
    return tuple(row[0] for row in rows)


def end_sessions(connection: psycopg.Connection[Any], wanted: Role) -> None:
    """Terminate the role's sessions."""
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [wanted.name])


_MARKED = """SELECT r.rolname::text, split_part(c, '=', 2) FROM pg_db_role_setting s
    JOIN pg_roles r ON r.oid = s.setrole JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c
    WHERE d.datname = current_database() AND c = ANY (%s) ORDER BY 1"""


def marks(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Return the roles that the switch made read-only in this database, each with its mark."""
    return dict(connection.execute(_MARKED, [MARKED]).fetchall())
