"""Finds or starts the PostgreSQL server before Django reads its settings, and leaves it as it was found."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from tests.embedded import embedded_server

# Every role and database of a run begins with this, so that a run removes its own and nothing else.
PREFIX = f"rr_{os.getpid()}"
SERVER_VARIABLE = "TEST_DATABASE_URL"
# The folder of initdb and postgres for a run's own servers; the wheel's where it is not set.
BINARIES_VARIABLE = "TEST_POSTGRES_BIN"
# Set for the workers of a run that started its server itself.
OWN_VARIABLE = "TEST_DATABASE_IS_OWN"
# A developer's own, which libpq would take for sessions of the tests; passwords and certificates may be of the
# server that was named. https://www.postgresql.org/docs/current/libpq-envars.html
LIBPQ_VARIABLES = (
    *("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE", "PGOPTIONS", "PGAPPNAME"),
    *("PGTARGETSESSIONATTRS", "PGCONNECT_TIMEOUT", "PGCLIENTENCODING", "PGDATESTYLE", "PGTZ", "PGGEQO"),
)

_stack = ExitStack()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, None, None]:
    """Run before pytest-django imports the settings, which read DATABASE_URL."""
    for name in LIBPQ_VARIABLES:
        os.environ.pop(name, None)
    server = _server()
    os.environ[SERVER_VARIABLE] = server
    _stack.callback(clean, server)
    password = secrets.token_urlsafe(12)
    with psycopg.connect(server, autocommit=True) as connection:
        writer, database = f"{PREFIX}_writer", PREFIX
        create = "CREATE ROLE {} LOGIN CREATEDB PASSWORD {}"
        connection.execute(sql.SQL(create).format(sql.Identifier(writer), sql.Literal(password)))
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(writer))
        )
    for name in ("DB_READ_ONLY", "DATABASE_READONLY_URL", "DATABASE_ADMIN_URL"):
        os.environ.pop(name, None)
    os.environ["DATABASE_URL"] = url_for(server, user=writer, password=password, database=database)
    os.environ["DB_READONLY_PASSWORD"] = secrets.token_urlsafe(12)
    return (yield)


def _server() -> str:
    """The server that was named, or one of our own; each worker of a parallel run has its own too."""
    if os.environ.get(SERVER_VARIABLE) and OWN_VARIABLE not in os.environ:
        return os.environ[SERVER_VARIABLE]
    os.environ[OWN_VARIABLE] = "1"
    folder = os.environ.get(BINARIES_VARIABLE)
    server = _stack.enter_context(embedded_server(binaries=Path(folder) if folder else None))
    _make_logins_cheap(server)
    return server


def _make_logins_cheap(server: str) -> None:
    """Have passwords hashed once instead of 4096 times: a suite logs in by the ten thousand."""
    parts = urlsplit(server)
    with psycopg.connect(server, autocommit=True) as superuser:
        if superuser.info.server_version < 160000:
            return
        superuser.execute("ALTER SYSTEM SET scram_iterations = 1")
        superuser.execute("SELECT pg_reload_conf()")
        superuser.execute("SET scram_iterations = 1")
        change = sql.SQL("ALTER ROLE {} PASSWORD {}")
        superuser.execute(
            change.format(sql.Identifier(parts.username or ""), sql.Literal(unquote(parts.password or "")))
        )


def pytest_unconfigure() -> None:
    _stack.close()


def url_for(server: str, *, database: str, user: str | None = None, password: str = "") -> str:
    """Return the server's URL with another database, and another login where one is given."""
    parts = urlsplit(server)
    login, _, place = parts.netloc.rpartition("@")
    if user is not None:
        login = f"{user}:{password}"
    return urlunsplit(parts._replace(netloc=f"{login}@{place}", path=f"/{database}"))


def clean(server: str) -> None:
    """Drop every database and role of this run."""
    with psycopg.connect(server, autocommit=True) as connection:
        names = connection.execute(
            "SELECT datname FROM pg_database"
            " WHERE starts_with(datname, %(p)s) OR starts_with(datname, 'test_' || %(p)s)",
            {"p": PREFIX},
        ).fetchall()
        for (name,) in names:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        roles = connection.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", [PREFIX])
        for (name,) in roles.fetchall():
            drop_role(server, connection, name)


def drop_role(server: str, connection: psycopg.Connection[Any], name: str) -> None:
    """Drop a role and what it holds in any database: another run may have granted it something meanwhile."""
    elsewhere = connection.execute(
        "SELECT DISTINCT datname FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid"
        " WHERE refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s)",
        [name],
    ).fetchall()
    role = sql.Identifier(name)
    for database in ("postgres", *(row[0] for row in elsewhere)):
        with psycopg.connect(url_for(server, database=quote(database, safe="")), autocommit=True) as there:
            there.execute(sql.SQL("DROP OWNED BY {}").format(role))
    connection.execute(sql.SQL("DROP ROLE {}").format(role))
