"""Who holds what: the privileges of the role by name, and of PUBLIC, in every kind of object."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import psycopg

from .questions import Questions, actor
from .spec import DefaultGrant, Grant, Role

# Functions of pg_catalog that write, lock or signal beyond the session and that PUBLIC may execute.
WRITING_FUNCTIONS = (
    *("lo_creat", "lo_create", "lo_from_bytea", "lo_put", "lo_import", "lo_export", "lowrite"),
    *("lo_truncate", "lo_truncate64", "lo_unlink", "pg_notify", "pg_logical_emit_message", "txid_current"),
    *("pg_current_xact_id", "pg_export_snapshot", "pg_advisory_lock", "pg_advisory_lock_shared"),
    *("pg_advisory_xact_lock", "pg_advisory_xact_lock_shared", "pg_try_advisory_lock"),
    *("pg_try_advisory_lock_shared", "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared"),
)
# Extensions whose functions open connections of their own, with whatever login they are told.
OUTGOING_EXTENSIONS = ("dblink",)

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
                WHEN pronamespace <> 'pg_catalog'::regnamespace THEN ''
                WHEN proname = ANY (%(writing)s) THEN 'writes' ELSE 'system function' END
      FROM pg_proc p LEFT JOIN pg_depend x ON x.classid = 'pg_proc'::regclass AND x.objid = p.oid
           AND x.deptype = 'e' LEFT JOIN pg_extension e ON e.oid = x.refobjid AND e.extname = ANY (%(outgoing)s)
      WHERE %(grantee)s <> 0 OR prosecdef OR e.extname IS NOT NULL
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
    SELECT 'TABLESPACE', quote_ident(spcname), spcowner, spcacl, '', false, '' FROM pg_tablespace
    UNION ALL
    SELECT 'TYPE', format_type(oid, NULL), typowner, typacl, '', false, '' FROM pg_type WHERE typacl IS NOT NULL
    UNION ALL
    SELECT 'LANGUAGE', quote_ident(lanname), lanowner, lanacl, '', false, '' FROM pg_language
      WHERE lanacl IS NOT NULL)
    SELECT acl.kind, acl.target, a.owner, CASE WHEN x.grantor = acl.owner THEN a.actor END AS actor, p.reason,
           pg_get_userbyid(x.grantor)::text AS grantor,
           p.privilege || CASE acl.part WHEN '' THEN '' ELSE format(' (%%I)', acl.part) END AS privilege,
           ARRAY(SELECT pg_get_userbyid(y.grantee)::text FROM aclexplode(acl.acl) y
                 WHERE y.grantee <> 0 AND y.privilege_type = x.privilege_type) AS explicit,
           ARRAY(SELECT ARRAY[pg_get_userbyid(y.grantee)::text, format('%%s (%%I)', y.privilege_type, attname)]
                 FROM pg_attribute CROSS JOIN aclexplode(attacl) y
                 WHERE %(grantee)s = 0 AND acl.kind = 'TABLE' AND acl.part = '' AND y.grantee <> 0
                   AND attrelid = to_regclass(acl.target) AND y.privilege_type = x.privilege_type) AS columns
    FROM acl CROSS JOIN aclexplode(acl.acl) x JOIN ({actors}) a ON a.oid = acl.owner
    CROSS JOIN LATERAL (SELECT x.privilege_type AS privilege, acl.reason
        UNION ALL SELECT 'GRANT OPTION FOR ' || x.privilege_type, 'may grant it on' WHERE x.is_grantable) p
    WHERE x.grantee = %(grantee)s AND (%(grantee)s <> 0 OR NOT acl.system)
      AND (%(all)s OR (acl.kind, p.privilege) NOT IN (('TABLE', 'SELECT'), ('SEQUENCE', 'SELECT'),
           ('LARGE OBJECT', 'SELECT'), ('SCHEMA', 'USAGE'), ('DATABASE', 'CONNECT')))
    ORDER BY 1, 2, 7"""

_PARAMETER_GRANTS = """SELECT 'PARAMETER' AS kind, parname AS target, current_user::text AS owner,
    CASE WHEN u.rolsuper THEN 'admin' END AS actor, '' AS reason, '' AS grantor, x.privilege_type AS privilege,
    ARRAY[]::text[] AS explicit, ARRAY[]::text[] AS columns
    FROM pg_parameter_acl, aclexplode(paracl) x, pg_roles u
    WHERE x.grantee = %(grantee)s AND u.rolname = current_user"""

_DEFAULT_GRANTS = """SELECT a.owner AS creator, a.actor, coalesce(n.nspname, '') AS schema,
    d.defaclobjtype::text AS kind, x.privilege_type AS privilege
    FROM pg_default_acl d CROSS JOIN aclexplode(d.defaclacl) x JOIN ({actors}) a ON a.oid = d.defaclrole
    LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace WHERE x.grantee = %(grantee)s ORDER BY 1, 3, 4"""

_PEERS = """SELECT rolname FROM pg_roles WHERE NOT rolsuper AND rolname !~ '^pg_' AND rolname <> %(role)s
    AND has_database_privilege(oid, current_database(), 'CONNECT') ORDER BY 1"""

# What a reader needs, or what does no harm; every other privilege is excess. A function that is neither of
# pg_catalog nor runs as its owner may be what a view needs.
_WANTED = {
    "TYPE": ("USAGE",),
    "LANGUAGE": ("USAGE",),
    "TABLE": ("SELECT",),
    "SEQUENCE": ("SELECT",),
    "LARGE OBJECT": ("SELECT",),
    "SCHEMA": ("USAGE",),
    "DATABASE": ("CONNECT",),
}


def grants_held(connection: psycopg.Connection[Any], wanted: Role) -> tuple[Grant, ...]:
    """Return every privilege the role holds by its own name in this database."""
    ask = Questions(connection, wanted)
    return _grants(ask, ask.server["role_oid"], everything=True)


def excess(connection: psycopg.Connection[Any], wanted: Role) -> tuple[Grant, ...]:
    """Return what the role holds by its own name beyond reading."""
    ask = Questions(connection, wanted)
    held = _grants(ask, ask.server["role_oid"])
    return tuple(grant for grant in held if excess_privileges(grant))


def public_grants(connection: psycopg.Connection[Any], wanted: Role) -> tuple[Grant, ...]:
    """Return what PUBLIC may do beyond reading, with the roles that would lose it."""
    ask = Questions(connection, wanted)
    peers = [row["rolname"] for row in ask(_PEERS)]
    return tuple(grant for grant in _grants(ask, 0, peers) if excess_privileges(grant))


def default_grants(
    connection: psycopg.Connection[Any], wanted: Role, *, public: bool = False
) -> tuple[DefaultGrant, ...]:
    """Return the default privileges of the role, or of PUBLIC."""
    ask = Questions(connection, wanted)
    rows = ask(_DEFAULT_GRANTS, grantee=0 if public else ask.server["role_oid"])
    return tuple(DefaultGrant(**{**row, "actor": actor(row["actor"])}) for row in rows)


def _grants(
    ask: Questions, grantee: int | None, peers: list[str] | None = None, *, everything: bool = False
) -> tuple[Grant, ...]:
    if grantee is None:
        return ()
    more = {"writing": list(WRITING_FUNCTIONS), "outgoing": list(OUTGOING_EXTENSIONS), "all": everything}
    rows = ask(_GRANTS, grantee=grantee, **more)
    if ask.server["version"] >= 150000:
        rows += ask(_PARAMETER_GRANTS, grantee=grantee)
    return _merged(rows, peers or [])


def _merged(rows: list[dict[str, Any]], peers: list[str]) -> tuple[Grant, ...]:
    """Return the grants with objects that hold the same privileges in the same way together."""
    of_object: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for row in rows:
        holders = tuple(peer for peer in peers if peer not in row["explicit"])
        columns = tuple((holder, privilege) for holder, privilege in row["columns"] if holder in holders)
        key = (
            row["kind"],
            row["owner"],
            row["actor"],
            row["reason"],
            row["grantor"],
            holders,
            columns,
            row["target"],
        )
        of_object[key].add(row["privilege"])
    together: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for (*facts, target), privileges in of_object.items():
        together[tuple(facts), tuple(sorted(privileges))].append(target)
    return tuple(
        Grant(
            kind=kind,
            targets=tuple(targets),
            owner=owner,
            actor=actor(may_act),
            grantor=grantor,
            reason=reason,
            holders=holders,
            columns=columns,
            privileges=privileges,
        )
        for ((kind, owner, may_act, reason, grantor, holders, columns), privileges), targets in together.items()
    )


def excess_privileges(grant: Grant) -> tuple[str, ...]:
    """Return the privileges of a grant that a reader does not need."""
    if grant.kind == "ROUTINE" and not grant.reason:
        return ()
    wanted = _WANTED.get(grant.kind, ())
    return tuple(privilege for privilege in grant.privileges if privilege.partition(" ")[0] not in wanted)
