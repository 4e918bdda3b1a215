"""Databases of the tests: scratch pairs to provision, and digests of what a database holds."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
from django.db import connections
from django.db.backends.signals import connection_created
from django.test import override_settings
from psycopg import sql

from tests.plugin import PREFIX, url_for

_DEFAULTS = {
    "ENGINE": "django.db.backends.postgresql",
    "ATOMIC_REQUESTS": False,
    "AUTOCOMMIT": True,
    "CONN_MAX_AGE": 0,
    "CONN_HEALTH_CHECKS": False,
    "TIME_ZONE": None,
}


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """An empty database with its writer, and the aliases of the pair in DATABASES."""

    server: str
    name: str
    writer: str
    twin: str
    password: str = field(repr=False)
    alias: str = "scratch"
    twin_alias: str = "scratch_twin"

    @property
    def admin_url(self) -> str:
        return url_for(self.server, database=self.name)

    def url(self, user: str, password: str | None = None) -> str:
        """The URL of a role of this database; every role made here has the same password."""
        return url_for(
            self.server,
            database=quote(self.name, safe=""),
            user=quote(user, safe=""),
            password=password or self.password,
        )

    @property
    def env(self) -> dict[str, str]:
        """What a process needs to use the pair as the example site's."""
        return {
            "DATABASE_URL": self.url(self.writer),
            "DATABASE_READONLY_URL": self.url(self.twin),
            "DATABASE_ADMIN_URL": self.admin_url,
        }

    def superuser(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.admin_url, autocommit=True)

    def login(self, user: str, **parameters: Any) -> psycopg.Connection[Any]:
        """Log in as a role, by its URL's parts: names may hold anything."""
        parts = urlsplit(self.server)
        return psycopg.connect(
            host=parts.hostname,
            port=parts.port,
            dbname=self.name,
            user=user,
            password=self.password,
            autocommit=True,
            **parameters,
        )

    def run(self, *texts: str, user: str | None = None) -> None:
        """Execute statements as the writer, or as another role."""
        with self.login(user or self.writer) as connection:
            for text in texts:
                connection.execute(text.encode())

    def role(self, suffix: str, options: str = "LOGIN") -> str:
        """Create another role of this run and return its name."""
        name = f"{PREFIX}_{suffix}_{secrets.token_hex(3)}"
        with self.superuser() as connection:
            connection.execute(
                sql.SQL("CREATE ROLE {} PASSWORD {} " + options).format(
                    sql.Identifier(name), sql.Literal(self.password)
                )
            )
        return name


@contextmanager
def scratch(
    server: str,
    *,
    name: str = "",
    writer: str = "",
    twin: str = "",
    writer_options: str = "",
    template: str = "",
) -> Iterator[Scratch]:
    """Make a database and its writer, put the pair into DATABASES, and remove all of it afterwards."""
    unique = f"{PREFIX}_{secrets.token_hex(4)}"
    made = Scratch(
        server=server,
        name=name or unique,
        writer=writer or f"{unique}_w",
        twin=twin or f"{unique}_r",
        password=secrets.token_urlsafe(9),
    )
    _create(made, writer_options, template)
    try:
        with _in_settings(made):
            yield made
    finally:
        for alias in (made.alias, made.twin_alias):
            connections[alias].close() if alias in connections.settings else None
        _remove(made)


def _create(made: Scratch, writer_options: str, template: str) -> None:
    with psycopg.connect(made.server, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} " + writer_options).format(
                sql.Identifier(made.writer), sql.Literal(made.password)
            )
        )
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}" + (" TEMPLATE {}" if template else "")).format(
                sql.Identifier(made.name),
                sql.Identifier(made.writer),
                *([sql.Identifier(template)] if template else []),
            )
        )


def _remove(made: Scratch) -> None:
    with psycopg.connect(made.server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(made.name)))
        for role in (made.writer, made.twin):
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def forget(alias: str) -> None:
    """Close this thread's connection of an alias, where it has one; the next use makes a new one."""
    if (wrapper := connections.own(alias)) is not None:
        wrapper.close()
        del connections[alias]


@contextmanager
def entry(alias: str, **values: Any) -> Iterator[None]:
    """Change an entry of DATABASES for a block, and the connection with it."""
    found = connections.settings[alias]
    before = dict(found)
    forget(alias)
    found.update(values)
    try:
        yield
    finally:
        found.clear()
        found.update(before)
        forget(alias)


@contextmanager
def logins() -> Iterator[list[str]]:
    """The aliases that connect in a block, in order; none is connected as it begins."""
    seen: list[str] = []

    def note(connection: Any, **_: Any) -> None:
        seen.append(str(connection.alias))

    connections.close_all()
    connection_created.connect(note)
    try:
        yield seen
    finally:
        connection_created.disconnect(note)


@contextmanager
def _in_settings(made: Scratch) -> Iterator[None]:
    parts = urlsplit(made.server)
    common = {
        **_DEFAULTS,
        "NAME": made.name,
        "HOST": parts.hostname,
        "PORT": parts.port,
        "PASSWORD": made.password,
    }
    entries = {
        made.alias: {**common, "USER": made.writer, "OPTIONS": {}, "TEST": {}},
        made.twin_alias: {**common, "USER": made.twin, "OPTIONS": {}, "TEST": {"MIRROR": made.alias}},
    }
    for alias in entries:
        # Another pair may have had it, whose place it takes over.
        forget(alias)
    connections.settings.update(entries)
    pairs = {"default": "readonly", made.alias: made.twin_alias}
    try:
        with override_settings(READONLY_ROUTER_PAIRS=pairs):
            try:
                yield
            finally:
                for alias in entries:
                    forget(alias)
    finally:
        for alias in entries:
            connections.settings.pop(alias, None)


_TABLES = """SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1"""
_SEQUENCES = """SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE c.relkind = 'S' ORDER BY 1"""
_SHAPE = """SELECT n.nspname, c.relname, c.relkind, c.relnatts, c.relhastriggers FROM pg_class c
    JOIN pg_namespace n ON n.oid = relnamespace WHERE n.nspname !~ '^pg_' ORDER BY 1, 2"""


def checksum(connection: psycopg.Connection[Any]) -> str:
    """Return a digest of every relation's shape, every row, every sequence and every large object."""
    digest = hashlib.sha256(repr(connection.execute(_SHAPE).fetchall()).encode())
    for (table,) in connection.execute(_TABLES).fetchall():
        rows = f"SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')) FROM {table} t"
        digest.update(repr((table, _row(connection, rows))).encode())
    for (sequence,) in connection.execute(_SEQUENCES).fetchall():
        digest.update(repr((sequence, _row(connection, f"SELECT last_value, is_called FROM {sequence}"))).encode())
    objects = (
        "SELECT array_agg(oid ORDER BY oid), (SELECT count(*) FROM pg_largeobject) FROM pg_largeobject_metadata"
    )
    digest.update(repr(_row(connection, objects)).encode())
    return digest.hexdigest()


def _row(connection: psycopg.Connection[Any], query: str) -> Any:
    return connection.execute(query.encode()).fetchone()
