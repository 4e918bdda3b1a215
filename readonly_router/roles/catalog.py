"""Reads the catalogs: set-based queries that turn a database into the values of `spec`."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import psycopg
from psycopg.rows import dict_row

from .spec import Actor, Creator, Existing, Grant, Relation, Role, RoleState, Schema

# Functions of pg_catalog that write, lock or signal beyond the session and that PUBLIC may execute.
WRITING_FUNCTIONS = (
    *("lo_creat", "lo_create", "lo_from_bytea", "lo_put", "lo_import", "lo_export", "lo_open", "lowrite"),
    *("lo_truncate", "lo_truncate64", "lo_unlink", "pg_notify", "pg_logical_emit_message", "txid_current"),
    *("pg_current_xact_id", "pg_export_snapshot", "pg_advisory_lock", "pg_advisory_lock_shared"),
    *("pg_advisory_xact_lock", "pg_advisory_xact_lock_shared", "pg_try_advisory_lock"),
    *("pg_try_advisory_lock_shared", "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared"),
)
# Extensions whose functions open connections of their own, with whatever login they are told.
OUTGOING_EXTENSIONS = ("dblink",)

# %% is psycopg's escape for a percent sign in a query with parameters.
_SCHEMAS = """n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY(%(schemas)s::text[]))"""

# Who may act for an owner: the admin where it has the owner's privileges, else the writer where it has them.
_ACTORS = """SELECT oid, rolname AS owner,
    CASE WHEN pg_has_role(current_user, oid, 'USAGE') THEN 'admin'
         WHEN pg_has_role(%(writer)s, oid, 'USAGE') THEN 'writer' END AS actor
    FROM pg_roles"""

_SERVER = """SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS in_recovery,
    current_user::text AS admin, u.rolsuper AS superuser, u.rolcreaterole AS createrole,
    d.oid AS database_oid, a.actor AS database_actor,
    (SELECT oid FROM pg_roles WHERE rolname = %(role)s) AS role_oid,
    (SELECT oid FROM pg_roles WHERE rolname = %(writer)s) AS writer_oid
    FROM pg_roles u, pg_database d JOIN ({actors}) a ON a.oid = d.datdba
    WHERE u.rolname = current_user AND d.datname = current_database()"""

# Default privileges FOR a role are its own to the catalogs, though another run may have made them, elsewhere too.
_ROLE = """SELECT rolsuper AS superuser, rolcreaterole AS createrole, rolcreatedb AS createdb,
    rolreplication AS replication, rolbypassrls AS bypassrls, rolcanlogin AS canlogin,
    ARRAY(SELECT CASE WHEN dbid = %(database_oid)s OR dbid = 0 THEN pg_describe_object(classid, objid, objsubid)
                      ELSE 'an object of database ' || (SELECT datname FROM pg_database WHERE oid = dbid)
                 END FROM pg_shdepend
          WHERE refclassid = 'pg_authid'::regclass AND refobjid = r.oid AND deptype = 'o'
            AND classid <> 'pg_default_acl'::regclass LIMIT 3) AS owns,
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

_RELATIONS = """FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN ({actors}) a ON a.oid = c.relowner
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {schemas}"""

# has_*_privilege gives NULL for a relation dropped meanwhile, which is not missing anything.
_UNREADABLE = """SELECT n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, a.owner, a.actor
    {relations} AND (%(role_oid)s::oid IS NULL OR NOT CASE c.relkind
        WHEN 'S' THEN has_sequence_privilege(%(role_oid)s::oid, c.oid, 'SELECT')
        ELSE has_table_privilege(%(role_oid)s::oid, c.oid, 'SELECT') END) ORDER BY c.oid"""

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

# Tables whose rows differ between writer and twin, where row-level security applies to one and not alike to the
# other: https://www.postgresql.org/docs/current/ddl-rowsecurity.html
_FILTERED = """SELECT n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, a.owner, a.actor {relations}
    AND c.relrowsecurity AND NOT coalesce((SELECT rolbypassrls FROM pg_roles WHERE oid = %(role_oid)s::oid), false)
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
                                OR coalesce(%(role_oid)s::oid = ANY (p.polroles), false))) END"""

_FORCED = """SELECT n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, a.owner, a.actor {relations}
    AND c.relforcerowsecurity"""

# Every privilege one grantee holds by name (0 is PUBLIC), as the object is spelt in GRANT.
_GRANTS = """WITH acl AS (
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
           format('%%I.%%I', n.nspname, relname) AS target, relowner AS owner, relacl AS acl, ''::name AS part,
           n.nspname = 'pg_catalog' OR n.nspname = 'information_schema' AS system, '' AS reason
      FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE relacl IS NOT NULL AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT 'TABLE', format('%%I.%%I', n.nspname, relname), relowner, attacl, attname, n.nspname = 'pg_catalog', ''
      FROM pg_attribute JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
      WHERE attacl IS NOT NULL AND NOT attisdropped
    UNION ALL
    SELECT 'SCHEMA', quote_ident(nspname), nspowner, nspacl, '', nspname ~ '^pg_', ''
      FROM pg_namespace WHERE nspacl IS NOT NULL
    UNION ALL
    SELECT 'DATABASE', quote_ident(datname), datdba, coalesce(datacl, acldefault('d', datdba)), '', false, ''
      FROM pg_database WHERE datname = current_database()
    UNION ALL
    SELECT 'ROUTINE', p.oid::regprocedure::text, proowner, coalesce(proacl, acldefault('f', proowner)), '', false,
           CASE WHEN prosecdef THEN 'security definer' WHEN e.extname IS NOT NULL THEN 'connects out'
                ELSE 'writes' END
      FROM pg_proc p LEFT JOIN pg_depend x ON x.classid = 'pg_proc'::regclass AND x.objid = p.oid
           AND x.deptype = 'e' LEFT JOIN pg_extension e ON e.oid = x.refobjid AND e.extname = ANY (%(outgoing)s)
      WHERE prosecdef OR e.extname IS NOT NULL
         OR (pronamespace = 'pg_catalog'::regnamespace AND proname = ANY (%(writing)s))
    UNION ALL
    SELECT 'FOREIGN SERVER', quote_ident(srvname), srvowner, srvacl, '', false, 'reaches another server'
      FROM pg_foreign_server
    UNION ALL
    SELECT 'FOREIGN DATA WRAPPER', quote_ident(fdwname), fdwowner, fdwacl, '', false, ''
      FROM pg_foreign_data_wrapper
    UNION ALL
    SELECT 'LARGE OBJECT', oid::text, lomowner, lomacl, '', false, '' FROM pg_largeobject_metadata
      WHERE lomacl IS NOT NULL
    UNION ALL
    SELECT 'TABLESPACE', quote_ident(spcname), spcowner, spcacl, '', false, '' FROM pg_tablespace)
    SELECT acl.kind, acl.target, a.owner, a.actor, acl.reason,
           x.privilege_type || CASE acl.part WHEN '' THEN '' ELSE format(' (%%I)', acl.part) END AS privilege,
           ARRAY(SELECT pg_get_userbyid(y.grantee)::text FROM aclexplode(acl.acl) y
                 WHERE y.grantee <> 0 AND y.privilege_type = x.privilege_type) AS explicit,
           ARRAY(SELECT ARRAY[pg_get_userbyid(y.grantee)::text, format('%%s (%%I)', y.privilege_type, attname)]
                 FROM pg_attribute CROSS JOIN aclexplode(attacl) y
                 WHERE %(grantee)s = 0 AND acl.kind = 'TABLE' AND acl.part = '' AND y.grantee <> 0
                   AND attrelid = to_regclass(acl.target) AND y.privilege_type = x.privilege_type) AS columns
    FROM acl CROSS JOIN aclexplode(acl.acl) x JOIN ({actors}) a ON a.oid = acl.owner
    WHERE x.grantee = %(grantee)s AND NOT acl.system ORDER BY 1, 2, 6"""

_PARAMETER_GRANTS = """SELECT 'PARAMETER' AS kind, parname AS target, current_user::text AS owner,
    CASE WHEN u.rolsuper THEN 'admin' END AS actor, '' AS reason, x.privilege_type AS privilege,
    ARRAY[]::text[] AS explicit, ARRAY[]::text[] AS columns
    FROM pg_parameter_acl, aclexplode(paracl) x, pg_roles u
    WHERE x.grantee = %(grantee)s AND u.rolname = current_user"""

_DEFAULT_GRANTS = """SELECT a.owner AS name, a.actor, coalesce(n.nspname, '') AS schema,
    d.defaclobjtype::text AS type, x.privilege_type AS privilege
    FROM pg_default_acl d CROSS JOIN aclexplode(d.defaclacl) x JOIN ({actors}) a ON a.oid = d.defaclrole
    LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace WHERE x.grantee = %(grantee)s ORDER BY 1, 3, 4"""

_PEERS = """SELECT rolname FROM pg_roles WHERE NOT rolsuper AND rolname !~ '^pg_' AND rolname <> %(role)s
    AND has_database_privilege(oid, current_database(), 'CONNECT') ORDER BY 1"""

# What a reader needs; every other privilege is excess.
_WANTED = {
    "TABLE": ("SELECT",),
    "SEQUENCE": ("SELECT",),
    "LARGE OBJECT": ("SELECT",),
    "SCHEMA": ("USAGE",),
    "DATABASE": ("CONNECT",),
}


def inspect(connection: psycopg.Connection[Any], wanted: Role) -> RoleState:
    """Return what the catalogs say about the wanted role; one query a question, none a relation."""
    ask = _Asker(connection, wanted)
    server = ask.server
    own = ask.settings(server["writer_oid"])
    return RoleState(
        version=server["version"] // 10000,
        in_recovery=server["in_recovery"],
        admin=server["admin"],
        superuser=server["superuser"],
        createrole=server["createrole"],
        role=_existing(ask),
        connect=ask.connects(),
        database_actor=_actor(server["database_actor"]),
        writer_settings=own[False],
        writer_database_settings=own[True],
        schemas=tuple(Schema(**_acted(row)) for row in ask(_SCHEMA_ROWS)),
        relations=ask("SELECT count(*) AS n {relations}")[0]["n"],
        unreadable=ask.relations(_UNREADABLE),
        large_objects=tuple((row["oid"], _actor(row["actor"])) for row in ask(_LARGE_OBJECTS)),
        creators=_creators(ask(_CREATORS)),
        filtered=ask.relations(_FILTERED),
        forced=ask.relations(_FORCED),
        excess=tuple(grant for grant in ask.grants(server["role_oid"]) if _is_excess(grant)),
    )


def grants_held(connection: psycopg.Connection[Any], wanted: Role) -> tuple[Grant, ...]:
    """Return every privilege the role holds by its own name in this database."""
    ask = _Asker(connection, wanted)
    return ask.grants(ask.server["role_oid"])


def public_grants(connection: psycopg.Connection[Any], wanted: Role) -> tuple[Grant, ...]:
    """Return what PUBLIC may do beyond reading, with the roles that would lose it."""
    ask = _Asker(connection, wanted)
    peers = [row["rolname"] for row in ask(_PEERS)]
    return tuple(grant for grant in ask.grants(0, peers) if _is_excess(grant))


def default_grants(
    connection: psycopg.Connection[Any], wanted: Role, *, public: bool = False
) -> tuple[tuple[str, Actor | None, str, str, str], ...]:
    """Return (creator, actor, schema, object type, privilege) of default privileges of the role or of PUBLIC."""
    ask = _Asker(connection, wanted)
    rows = ask(_DEFAULT_GRANTS, grantee=0 if public else ask.server["role_oid"])
    return tuple((r["name"], _actor(r["actor"]), r["schema"], r["type"], r["privilege"]) for r in rows)


class _Asker:
    """One connection's questions with their common parameters filled in."""

    def __init__(self, connection: psycopg.Connection[Any], wanted: Role) -> None:
        self.connection = connection
        self.parameters: dict[str, Any] = {
            "role": wanted.name,
            "writer": wanted.writer,
            "schemas": list(wanted.schemas) if wanted.schemas is not None else None,
            "writing": list(WRITING_FUNCTIONS),
            "outgoing": list(OUTGOING_EXTENSIONS),
        }
        self.server = self(_SERVER)[0]
        self.parameters.update(self.server)

    def __call__(self, query: str, **more: Any) -> list[dict[str, Any]]:
        text = query.format(relations=_RELATIONS, actors=_ACTORS, schemas=_SCHEMAS)
        text = text.format(actors=_ACTORS, schemas=_SCHEMAS) if "{" in text else text
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(text.encode(), {**self.parameters, **more}).fetchall()

    def relations(self, query: str) -> tuple[Relation, ...]:
        return tuple(Relation(**_acted(row)) for row in self(query))

    def settings(self, oid: int | None) -> dict[bool, dict[str, str]]:
        found: dict[bool, dict[str, str]] = {False: {}, True: {}}
        for row in self(_SETTINGS, oid=oid):
            found[row["in_database"]][row["name"]] = row["value"]
        return found

    def connects(self) -> bool:
        # A role that does not exist yet will have what PUBLIC has.
        known = self.server["role_oid"] is not None
        who = "%(role_oid)s::oid" if known else "'public'"
        return bool(self(f"SELECT has_database_privilege({who}, %(database_oid)s, 'CONNECT') AS ok")[0]["ok"])

    def grants(self, grantee: int | None, peers: list[str] | None = None) -> tuple[Grant, ...]:
        if grantee is None:
            return ()
        rows = self(_GRANTS, grantee=grantee)
        if self.server["version"] >= 150000:
            rows += self(_PARAMETER_GRANTS, grantee=grantee)
        return _merged(rows, peers or [])


def _merged(rows: list[dict[str, Any]], peers: list[str]) -> tuple[Grant, ...]:
    """Return the grants with objects that hold the same privileges in the same way together."""
    of_object: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for row in rows:
        holders = tuple(peer for peer in peers if peer not in row["explicit"])
        columns = tuple((holder, privilege) for holder, privilege in row["columns"] if holder in holders)
        key = (row["kind"], row["owner"], row["actor"], row["reason"], holders, columns, row["target"])
        of_object[key].add(row["privilege"])
    together: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for (*facts, target), privileges in of_object.items():
        together[tuple(facts), tuple(sorted(privileges))].append(target)
    return tuple(
        Grant(
            kind=kind,
            targets=tuple(targets),
            owner=owner,
            actor=_actor(actor),
            reason=reason,
            holders=holders,
            columns=columns,
            privileges=privileges,
        )
        for ((kind, owner, actor, reason, holders, columns), privileges), targets in together.items()
    )


def _is_excess(grant: Grant) -> bool:
    return bool(excess_privileges(grant))


def excess_privileges(grant: Grant) -> tuple[str, ...]:
    """Return the privileges of a grant that a reader does not need."""
    wanted = _WANTED.get(grant.kind, ())
    return tuple(privilege for privilege in grant.privileges if privilege.partition(" ")[0] not in wanted)


def _existing(ask: _Asker) -> Existing | None:
    rows = ask(_ROLE)
    if not rows:
        return None
    settings = ask.settings(ask.server["role_oid"])
    facts = {**rows[0], "owns": tuple(rows[0]["owns"]), "member_of": tuple(rows[0]["member_of"])}
    return Existing(**facts, settings=settings[False], database_settings=settings[True])


def _creators(rows: list[dict[str, Any]]) -> tuple[Creator, ...]:
    missing: dict[tuple[str, str | None], list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        missing[row["name"], row["actor"]].append((row["schema"], row["type"]))
    return tuple(
        Creator(name=name, actor=_actor(actor), missing=tuple(kinds)) for (name, actor), kinds in missing.items()
    )


def _acted(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "actor": _actor(row["actor"])}


def _actor(name: str | None) -> Actor | None:
    return Actor(name) if name else None


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


def end_sessions(connection: psycopg.Connection[Any], wanted: Role) -> None:
    """Terminate the role's sessions."""
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [wanted.name])
