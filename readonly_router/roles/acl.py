"""Who holds what: the privileges of the role by name, and of PUBLIC, in every kind of object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from .questions import Questions, acted
from .spec import DefaultGrant, Grant

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

# In `acldefault` and `aclexplode`; no role has this OID.
PUBLIC = 0

# Every privilege some grantees hold by name, as the object is spelt in GRANT. Relations and routines with the same
# ACL are judged once, and spelt only where there is something to tell.
_GRANTS = """WITH acl AS (
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, array_agg(c.oid) AS objects,
           '' AS target, relowner AS owner, relacl AS acl, ''::name AS part,
           n.nspname = 'pg_catalog' OR n.nspname = 'information_schema' AS system, '' AS reason
      FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE relacl IS NOT NULL AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') GROUP BY 1, 4, 5, 7
    UNION ALL
    SELECT 'TABLE', ARRAY[c.oid], '', relowner, attacl, attname, n.nspname = 'pg_catalog', ''
      FROM pg_attribute JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
      WHERE attacl IS NOT NULL AND NOT attisdropped
    UNION ALL
    SELECT 'ROUTINE', array_agg(p.oid), '', proowner, coalesce(proacl, acldefault('f', proowner)), '', false,
           CASE WHEN prosecdef THEN 'security definer' WHEN e.extname IS NOT NULL THEN 'connects out'
                WHEN pronamespace <> 'pg_catalog'::regnamespace THEN ''
                WHEN proname = ANY (%(writing)s) THEN 'writes' ELSE 'system function' END
      FROM pg_proc p LEFT JOIN pg_depend x ON x.classid = 'pg_proc'::regclass AND x.objid = p.oid
           AND x.deptype = 'e' LEFT JOIN pg_extension e ON e.oid = x.refobjid AND e.extname = ANY (%(outgoing)s)
      GROUP BY 4, 5, 8
    UNION ALL
    SELECT 'SCHEMA', ARRAY[oid], quote_ident(nspname), nspowner, nspacl, '', nspname ~ '^pg_', ''
      FROM pg_namespace WHERE nspacl IS NOT NULL
    UNION ALL
    SELECT 'DATABASE', ARRAY[oid], quote_ident(datname), datdba, coalesce(datacl, acldefault('d', datdba)), '',
           false, '' FROM pg_database WHERE datname = current_database()
    UNION ALL
    SELECT 'FOREIGN SERVER', ARRAY[oid], quote_ident(srvname), srvowner, srvacl, '', false,
           'reaches another server' FROM pg_foreign_server
    UNION ALL
    SELECT 'FOREIGN DATA WRAPPER', ARRAY[oid], quote_ident(fdwname), fdwowner, fdwacl, '', false, ''
      FROM pg_foreign_data_wrapper
    UNION ALL
    SELECT 'LARGE OBJECT', ARRAY[oid], oid::text, lomowner, lomacl, '', false, '' FROM pg_largeobject_metadata
      WHERE lomacl IS NOT NULL
    UNION ALL
    SELECT 'TABLESPACE', ARRAY[oid], quote_ident(spcname), spcowner, spcacl, '', false, '' FROM pg_tablespace
    UNION ALL
    SELECT 'TYPE', ARRAY[oid], format_type(oid, NULL), typowner, typacl, '', false, '' FROM pg_type
      WHERE typacl IS NOT NULL
    UNION ALL
    SELECT 'LANGUAGE', ARRAY[oid], quote_ident(lanname), lanowner, lanacl, '', false, '' FROM pg_language
      WHERE lanacl IS NOT NULL)
    SELECT x.grantee, acl.kind, a.owner, CASE WHEN x.grantor = acl.owner THEN a.actor END AS actor, p.reason,
           pg_get_userbyid(x.grantor)::text AS grantor,
           CASE WHEN acl.kind = 'ROUTINE' THEN o.oid::regprocedure::text WHEN acl.target <> '' THEN acl.target
                ELSE (SELECT format('%%I.%%I', n.nspname, relname) FROM pg_class c
                      JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = o.oid) END AS target,
           p.privilege || CASE acl.part WHEN '' THEN '' ELSE format(' (%%I)', acl.part) END AS privilege,
           ARRAY(SELECT pg_get_userbyid(y.grantee)::text FROM aclexplode(acl.acl) y
                 WHERE y.grantee <> 0 AND y.privilege_type = x.privilege_type) AS explicit,
           ARRAY(SELECT ARRAY[pg_get_userbyid(y.grantee)::text, format('%%s (%%I)', y.privilege_type, attname)]
                 FROM pg_attribute CROSS JOIN aclexplode(attacl) y
                 WHERE x.grantee = 0 AND acl.kind = 'TABLE' AND acl.part = '' AND y.grantee <> 0
                   AND attrelid = o.oid AND y.privilege_type = x.privilege_type) AS columns
    FROM acl CROSS JOIN aclexplode(acl.acl) x JOIN ({actors}) a ON a.oid = acl.owner
    CROSS JOIN LATERAL (SELECT x.privilege_type AS privilege, acl.reason
        UNION ALL SELECT 'GRANT OPTION FOR ' || x.privilege_type, 'may grant it on' WHERE x.is_grantable) p
    CROSS JOIN unnest(acl.objects) o (oid)
    WHERE x.grantee = ANY (%(grantees)s::oid[]) AND (x.grantee <> 0 OR NOT acl.system)
      AND (x.grantee <> 0 OR acl.kind <> 'ROUTINE' OR acl.reason NOT IN ('', 'system function'))
      AND (%(all)s OR (acl.kind, p.privilege) NOT IN (('TABLE', 'SELECT'), ('SEQUENCE', 'SELECT'),
           ('LARGE OBJECT', 'SELECT'), ('SCHEMA', 'USAGE'), ('DATABASE', 'CONNECT')))
    ORDER BY 2, 7, 8"""

_PARAMETER_GRANTS = """SELECT x.grantee, 'PARAMETER' AS kind, parname AS target, current_user::text AS owner,
    CASE WHEN u.rolsuper THEN 'admin' END AS actor, '' AS reason, '' AS grantor, x.privilege_type AS privilege,
    ARRAY[]::text[] AS explicit, ARRAY[]::text[] AS columns
    FROM pg_parameter_acl, aclexplode(paracl) x, pg_roles u
    WHERE x.grantee = ANY (%(grantees)s::oid[]) AND u.rolname = current_user"""

_DEFAULT_GRANTS = """SELECT x.grantee, a.owner AS creator, a.actor, coalesce(n.nspname, '') AS schema,
    d.defaclobjtype::text AS kind, x.privilege_type AS privilege
    FROM pg_default_acl d CROSS JOIN aclexplode(d.defaclacl) x JOIN ({actors}) a ON a.oid = d.defaclrole
    LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
    WHERE x.grantee = ANY (%(grantees)s::oid[]) ORDER BY 2, 4, 5"""

_PEERS = """SELECT rolname FROM pg_roles WHERE NOT rolsuper AND rolname !~ '^pg_' AND rolname <> %(role)s
    AND has_database_privilege(oid, current_database(), 'CONNECT') ORDER BY 1"""


def grants_held(ask: Questions) -> tuple[Grant, ...]:
    """Return every privilege the role holds by its own name in this database."""
    return _merged(_rows(ask, [ask.server["role_oid"]], everything=True))


def excess(ask: Questions) -> tuple[tuple[Grant, ...], tuple[Grant, ...]]:
    """Return what the role by its own name, and what PUBLIC may do beyond reading.

    A grant of PUBLIC comes with the roles that would lose it.
    """
    rows = _rows(ask, [PUBLIC, ask.server["role_oid"]])
    own = [row for row in rows if row["grantee"] != PUBLIC]
    public = [row for row in rows if row["grantee"] == PUBLIC]
    merged = _merged(own), _merged(public, [row["rolname"] for row in ask(_PEERS)])
    held, open_to_all = (tuple(grant for grant in grants if grant.excess) for grants in merged)
    return held, open_to_all


def default_grants(ask: Questions) -> dict[int | None, list[DefaultGrant]]:
    """Return the default privileges of the role and of PUBLIC, by OID."""
    found: dict[int | None, list[DefaultGrant]] = defaultdict(list)
    for row in ask(_DEFAULT_GRANTS, grantees=[PUBLIC, ask.server["role_oid"]]):
        found[row.pop("grantee")].append(DefaultGrant(**acted(row)))
    return found


def _rows(ask: Questions, grantees: list[int | None], *, everything: bool = False) -> list[dict[str, Any]]:
    more = {"writing": list(WRITING_FUNCTIONS), "outgoing": list(OUTGOING_EXTENSIONS), "all": everything}
    rows = ask(_GRANTS, grantees=grantees, **more)
    if ask.server["version"] >= 150000:
        rows += ask(_PARAMETER_GRANTS, grantees=grantees)
    return rows


def _merged(rows: list[dict[str, Any]], peers: Sequence[str] = ()) -> tuple[Grant, ...]:
    """Return the grants with objects that hold the same privileges in the same way together."""
    of_object: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for row in rows:
        holders = tuple(peer for peer in peers if peer not in row["explicit"])
        columns = tuple((holder, privilege) for holder, privilege in row["columns"] if holder in holders)
        facts = tuple((name, row[name]) for name in ("kind", "owner", "actor", "reason", "grantor"))
        of_object[(*facts, ("holders", holders), ("columns", columns)), row["target"]].add(row["privilege"])
    together: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for (facts, target), privileges in of_object.items():
        together[facts, tuple(sorted(privileges))].append(target)
    return tuple(
        Grant(**acted(dict(facts)), targets=tuple(targets), privileges=privileges)
        for (facts, privileges), targets in together.items()
    )
