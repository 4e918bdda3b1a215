"""A database of the ledger's own with the example site in it, its writer and its provisioned twin."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.plugin import PREFIX, url_for

ROOT = Path(__file__).resolve().parents[2]
MANAGE = ROOT / "tests" / "example" / "manage.py"
SECONDS = 120
# What the caller's shell holds must not decide where a client leads.
_OTHERS = ("DB_", "DATABASE_", "DJANGO_", "EXAMPLE_", "LEDGER_", "PYTEST_", "COVERAGE_")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A database of `server`, a superuser's URL; both its roles begin with its name."""

    server: str = field(repr=False)
    name: str
    password: str = field(repr=False)

    @property
    def writer(self) -> str:
        return f"{self.name}_w"

    @property
    def twin(self) -> str:
        return f"{self.name}_r"

    @property
    def admin_url(self) -> str:
        return url_for(self.server, database=self.name)

    def superuser(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.admin_url, autocommit=True, connect_timeout=10)

    def environment(self, kind: str, *, way: str = "") -> dict[str, str]:
        """Return what a process of the site needs; `way` is HOST:PORT where it is not the server's own."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
        return {
            **inherited,
            "DJANGO_SETTINGS_MODULE": "tests.ledger.settings",
            "LEDGER_KIND": kind,
            "DATABASE_URL": self._url(self.writer, way),
            "DATABASE_READONLY_URL": self._url(self.twin, way),
        }

    def manage(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run manage.py to its end."""
        return subprocess.run(
            [sys.executable, str(MANAGE), *arguments],
            env={**self.environment("request"), **variables},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _url(self, user: str, way: str) -> str:
        url = url_for(self.server, database=self.name, user=user, password=self.password)
        login = urlsplit(url).netloc.rpartition("@")[0]
        return urlunsplit(urlsplit(url)._replace(netloc=f"{login}@{way}")) if way else url


@contextmanager
def place(server: str) -> Iterator[Place]:
    """Make it, migrated and provisioned; drop the database and its roles afterwards."""
    name = f"{PREFIX}_{secrets.token_hex(4)}"
    made = Place(server=server, name=name, password=secrets.token_urlsafe(9))
    try:
        _create(made)
        for ready in (
            made.manage("migrate", "--verbosity=0"),
            made.manage("create_readonly_role", DATABASE_ADMIN_URL=made.admin_url),
        ):
            assert ready.returncode == 0, ready.stderr
        yield made
    finally:
        _drop(made)


def _create(made: Place) -> None:
    writer, database = sql.Identifier(made.writer), sql.Identifier(made.name)
    with psycopg.connect(made.server, autocommit=True) as connection:
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        connection.execute(create.format(writer, sql.Literal(made.password)))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, writer))


def _drop(made: Place) -> None:
    with psycopg.connect(made.server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(made.name)))
        for role in (made.writer, made.twin):
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
