"""A database of the bench's own with its roles, gone afterwards."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql


@dataclass(frozen=True, kw_only=True)
class Place:
    """A database; every role made for it begins with its name."""

    server: str = field(repr=False)
    name: str
    password: str = field(repr=False)

    @property
    def writer(self) -> str:
        return f"{self.name}_writer"

    @property
    def twin(self) -> str:
        return f"{self.name}_twin"

    @property
    def admin_url(self) -> str:
        return self._url(urlsplit(self.server).netloc.rpartition("@")[0])

    @property
    def environment(self) -> dict[str, str]:
        """What tests.bench.settings reads."""
        return {
            "DATABASE_URL": self._url(f"{self.writer}:{self.password}"),
            "DATABASE_READONLY_URL": self._url(f"{self.twin}:{self.password}"),
            "BENCH_ADMIN_URL": self.admin_url,
        }

    def superuser(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.admin_url, autocommit=True)

    def _url(self, login: str) -> str:
        parts = urlsplit(self.server)
        where = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{login}@{where}", path=f"/{self.name}"))


@contextmanager
def place(server: str) -> Iterator[Place]:
    """Make a database that a writer, not superuser, owns; drop it and all its roles afterwards."""
    made = Place(
        server=server, name=f"rr_bench_{os.getpid()}_{secrets.token_hex(2)}", password=secrets.token_urlsafe(9)
    )
    try:
        _create(made)
        yield made
    finally:
        _drop(made)


def _create(made: Place) -> None:
    writer, database = sql.Identifier(made.writer), sql.Identifier(made.name)
    with psycopg.connect(made.server, autocommit=True) as connection:
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        connection.execute(create.format(writer, sql.Literal(made.password)))
        # A commit that waits for the disk would drown what is measured.
        connection.execute(sql.SQL("ALTER ROLE {} SET synchronous_commit = off").format(writer))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, writer))


def _drop(made: Place) -> None:
    with psycopg.connect(made.server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(made.name)))
        found = connection.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", [made.name])
        for (role,) in found.fetchall():
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
