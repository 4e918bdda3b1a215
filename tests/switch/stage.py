"""A database that many tests switch one after the other: made once, and put back after each."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.core.management import call_command
from django.db import connections
from psycopg import sql

from tests import database
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.plugin import PREFIX

READY = "CREATE TABLE note (id serial PRIMARY KEY, text text)"
_HERE = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_MEMBERS = """SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members
    WHERE roleid = ANY (%(ours)s::regrole[]) OR member = ANY (%(ours)s::regrole[])"""
_SET_IN = """SELECT datname::text FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
    JOIN pg_roles r ON r.oid = setrole WHERE rolname = %s"""
_STRANGERS = "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname, %s) AND NOT rolname = ANY (%s)"


@contextmanager
def stage(server: str) -> Iterator[Scratch]:
    """Make a database with its roles, to be put into DATABASES for each test that plays on it."""
    unique = f"{PREFIX}_{secrets.token_hex(4)}"
    made = Scratch(
        server=server,
        name=unique,
        writer=f"{unique}_w",
        twin=f"{unique}_r",
        password=secrets.token_urlsafe(9),
    )
    database._create(made, "", "")
    try:
        yield made
    finally:
        database._remove(made)


@contextmanager
def played(made: Scratch) -> Iterator[Scratch]:
    """Set the stage, put it into DATABASES for the length of the block, and clear it afterwards."""
    with database._in_settings(made):
        others = prepare(made)
        try:
            yield made
        finally:
            _clear(made, others)


def prepare(made: Scratch) -> list[str]:
    """Make the table of the audit events and one to write to, and the twin as create_readonly_role would.

    Return the roles that are there now.
    """
    twin, writer = sql.Identifier(made.twin), sql.Identifier(made.writer)
    with made.superuser() as superuser:
        superuser.execute(sql.SQL("SET ROLE {}").format(writer))
        for statement in (*events(made.alias), READY):
            superuser.execute(statement.encode())
        superuser.execute("RESET ROLE")
        if not superuser.execute("SELECT FROM pg_roles WHERE rolname = %s", [made.twin]).fetchall():
            create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            superuser.execute(create.format(twin, sql.Literal(made.password)))
        superuser.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(twin))
        for kind in ("TABLES", "SEQUENCES"):
            superuser.execute(sql.SQL(f"GRANT SELECT ON ALL {kind} IN SCHEMA public TO {{}}").format(twin))
        return [name for (name,) in superuser.execute(_STRANGERS, [PREFIX, []]).fetchall()]


_events: list[str] = []


def events(alias: str) -> list[str]:
    """Return what the migration of the audit events executes, asked for once."""
    if not _events:
        out = io.StringIO()
        call_command("sqlmigrate", "readonly_router", "0001", database=alias, stdout=out)
        connections[alias].close()
        lines = [line for line in out.getvalue().splitlines() if not line.startswith("--")]
        _events.extend(line for line in lines if line not in {"BEGIN;", "COMMIT;"})
    return _events


def _clear(made: Scratch, others: list[str]) -> None:
    """Put back what a test may have changed; the roles that it made go with it."""
    with made.superuser() as superuser:
        superuser.execute("SET default_transaction_read_only = off")
        superuser.execute(f"SELECT pg_terminate_backend(pid) {_HERE}".encode())
        wait_for(lambda: superuser.execute(f"SELECT {_HERE}".encode()).fetchall() == [])
        _reset(superuser, made)
        for (name,) in superuser.execute(_STRANGERS, [PREFIX, others]).fetchall():
            _run(superuser, "DROP OWNED BY {}", name)
            _run(superuser, "DROP ROLE {}", name)
        for name in _present(superuser, made):
            _run(superuser, "DROP OWNED BY {} CASCADE", name)
        old = superuser.info.server_version < 150000
        for statement in (
            "DROP SCHEMA IF EXISTS site CASCADE",
            "DROP SCHEMA public CASCADE",
            f"CREATE SCHEMA public AUTHORIZATION {'postgres' if old else 'pg_database_owner'}",
            f"GRANT {'ALL' if old else 'USAGE'} ON SCHEMA public TO PUBLIC",
            "SELECT lo_unlink(oid) FROM pg_largeobject_metadata",
        ):
            superuser.execute(statement.encode())


def _reset(superuser: psycopg.Connection[Any], made: Scratch) -> None:
    """Put the roles and the database back: their settings, their logins and their memberships."""
    ours = _present(superuser, made)
    for name in ours:
        _run(superuser, "ALTER ROLE {} LOGIN", name)
        _run(superuser, "ALTER ROLE {} RESET ALL", name)
        for (place,) in superuser.execute(_SET_IN, [name]).fetchall():
            _run(superuser, "ALTER ROLE {} IN DATABASE {} RESET ALL", name, place)
    _run(superuser, "ALTER DATABASE {} RESET ALL", made.name)
    for group, member in superuser.execute(_MEMBERS, {"ours": ours}).fetchall():
        superuser.execute(f"REVOKE {group} FROM {member} CASCADE".encode())


def _present(superuser: psycopg.Connection[Any], made: Scratch) -> list[str]:
    """Return the stage's roles, of which a test may have dropped one."""
    query = "SELECT rolname::text FROM pg_roles WHERE rolname = ANY (%s)"
    return [name for (name,) in superuser.execute(query, [[made.writer, made.twin]]).fetchall()]


def _run(superuser: psycopg.Connection[Any], text: str, *names: str) -> None:
    superuser.execute(sql.SQL(text).format(*map(sql.Identifier, names)))
