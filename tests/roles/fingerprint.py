"""What a database holds, part by part, as digests: rows, sequences, definitions, privileges, roles."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.plugin import PREFIX

Fingerprint = dict[str, str]

# The file in the server's data directory that attempts with a reach into the file system write.
FILE = f"{PREFIX}_out"

# Objects made by users, without those of temporary schemas: their entries outlive their session by a moment.
_USER = 16384
_LIVING = f"""SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid >= {_USER} AND n.nspname !~ '^pg_(temp|toast)'"""
_DATABASE = "SELECT oid FROM pg_database WHERE datname = current_database()"
_ROLES = f"SELECT oid FROM pg_roles WHERE starts_with(rolname, '{PREFIX}')"


def _rows(catalog: str, where: str = "true", what: str = "t::text") -> str:
    return f"SELECT string_agg({what}, chr(10) ORDER BY {what}) FROM {catalog} t WHERE {where}"


def _contents(kinds: str, row: str) -> str:
    query = f"format('SELECT string_agg({row}, chr(10) ORDER BY {row}) FROM %s t', t.oid::regclass)"
    where = f"t.relkind IN ({kinds}) AND t.oid IN ({_LIVING})"
    return _rows("pg_class", where, f"concat_ws('|', t.oid::regclass, pg_temp.answer({query}))")


_ANSWER = """CREATE OR REPLACE FUNCTION pg_temp.answer(query text) RETURNS text LANGUAGE plpgsql AS
    'DECLARE found text; BEGIN EXECUTE query INTO found; RETURN found; END'"""


_PARTS = {
    "rows": _contents("'r', 'm'", "t::text"),
    "sequences": _contents("'S'", "concat(last_value, is_called)"),
    "large objects": _rows("pg_largeobject"),
    "large object privileges": _rows("pg_largeobject_metadata"),
    # Frozen xids and the like change by themselves; a rewritten or analyzed table has another file or estimate.
    "relations": _rows(
        "pg_class",
        f"oid IN ({_LIVING})",
        "concat_ws('|', relname, relnamespace, relkind, relowner, relfilenode, reltuples, relacl, relhastriggers,"
        " relrowsecurity, relforcerowsecurity)",
    ),
    "columns": _rows("pg_attribute", f"attrelid IN ({_LIVING})"),
    "statistics": _rows(
        "pg_statistic", f"starelid IN ({_LIVING})", "concat_ws('|', starelid, staattnum, stadistinct)"
    ),
    "routines": _rows(
        "pg_proc",
        f"(oid >= {_USER} OR proacl IS NOT NULL) AND pronamespace::regnamespace::text !~ '^pg_temp'",
    ),
    "types": _rows("pg_type", f"oid >= {_USER} AND typnamespace::regnamespace::text !~ '^pg_(temp|toast)'"),
    "schemas": _rows("pg_namespace", "nspname !~ '^pg_(temp|toast)'"),
    **{
        part: _rows(catalog, f"t.oid >= {_USER}")
        for part, catalog in {
            "operators": "pg_operator",
            "triggers": "pg_trigger",
            "policies": "pg_policy",
            "constraints": "pg_constraint",
            "default privileges": "pg_default_acl",
            "event triggers": "pg_event_trigger",
            "extensions": "pg_extension",
            "extended statistics": "pg_statistic_ext",
            "foreign servers": "pg_foreign_server",
            "user mappings": "pg_user_mapping",
            "subscriptions": "pg_subscription",
            "languages": "pg_language",
        }.items()
    },
    "comments": _rows("pg_description", f"objoid >= {_USER}"),
    "labels": _rows("pg_seclabel"),
    "database": _rows("pg_database", "datname = current_database()", "concat_ws('|', datdba, datacl)"),
    "database comment": _rows("pg_shdescription", f"objoid IN ({_DATABASE})"),
    "roles": _rows("pg_authid", f"starts_with(rolname, '{PREFIX}')"),
    "members": _rows(
        "pg_auth_members",
        f"member IN ({_ROLES}) OR roleid IN ({_ROLES})",
        "concat_ws('|', roleid, member, admin_option)",
    ),
    "settings": _rows("pg_db_role_setting", f"setrole IN ({_ROLES}) OR setdatabase IN ({_DATABASE})"),
    "prepared transactions": _rows("pg_prepared_xacts", "database = current_database()", "gid"),
    "replication slots": _rows("pg_replication_slots", f"starts_with(slot_name, '{PREFIX}')", "slot_name::text"),
    "files": f"SELECT (pg_stat_file('{FILE}', true)).size::text",
}
_QUERY = " UNION ALL ".join(f"SELECT '{part}', md5(coalesce(({query}), ''))" for part, query in _PARTS.items())


def prepare(superuser: psycopg.Connection[Any]) -> None:
    """Give a session the function with which one statement reads tables whose names it does not hold."""
    superuser.execute(_ANSWER.encode())


def fingerprint(superuser: psycopg.Connection[Any]) -> Fingerprint:
    """Return a digest of each part of the database a superuser's prepared session is connected to."""
    return dict(superuser.execute(_QUERY.encode(), prepare=True).fetchall())


def changed(before: Fingerprint, after: Fingerprint) -> list[str]:
    """Return the parts that differ."""
    return [part for part, digest in after.items() if before[part] != digest]
