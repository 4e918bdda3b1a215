"""The stage: a database, its logins and a folder of the demo's own, and nothing of them afterwards."""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from readonly_router import ConfigurationError
from readonly_router.databases import parse_url


class DemoError(Exception):
    """The demo cannot go on, and says why."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What the demo calls its own on a server, by a name nobody else has."""

    admin: str = field(repr=False)
    name: str
    folder: Path
    password: str = field(repr=False)
    twin_password: str = field(repr=False)

    @property
    def writer(self) -> str:
        return f"{self.name}_writer"

    @property
    def twin(self) -> str:
        return f"{self.writer}_readonly"

    @property
    def place(self) -> str:
        """Host and port, as in a URL."""
        return urlsplit(self.admin).netloc.rpartition("@")[2]

    @property
    def admin_url(self) -> str:
        return url_for(self.admin, self.name)

    @property
    def env(self) -> dict[str, str]:
        """What a process of the site finds in its environment."""
        login = f"{self.writer}:{self.password}"
        return {
            "DATABASE_URL": url_for(self.admin, self.name, login),
            "DB_READONLY_PASSWORD": self.twin_password,
        }

    def connect(self) -> psycopg.Connection[Any]:
        """Log in as the writer, who owns everything here."""
        return psycopg.connect(self.env["DATABASE_URL"], autocommit=True)


def url_for(server: str, database: str, login: str = "") -> str:
    """Return the server's URL with another database, and another login where one is given."""
    parts = urlsplit(server)
    own, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login or own}@{place}", path=f"/{database}"))


def refuse_powerless(environ: Mapping[str, str]) -> None:
    """Raise DemoError unless the login in DATABASE_URL can set the stage."""
    try:
        parse_url(environ, "DATABASE_URL")
        with psycopg.connect(environ["DATABASE_URL"], connect_timeout=10) as connection:
            powerful = _value(
                connection,
                "SELECT rolsuper OR (rolcreatedb AND rolcreaterole) FROM pg_roles WHERE rolname = current_user",
            )
            name = connection.info.user
    except ConfigurationError as error:
        raise DemoError(str(error)) from None
    except psycopg.ProgrammingError:
        # psycopg's own message may quote the URL.
        raise DemoError("DATABASE_URL is not understood by libpq; correct it, or unset it.") from None
    except psycopg.Error as error:
        raise DemoError(f"DATABASE_URL: {' '.join(str(error).split())}") from None
    if not powerful:
        raise DemoError(
            f"DATABASE_URL: the login '{name}' may not create databases and roles, as the demo does; "
            "name one that has CREATEDB and CREATEROLE, or unset DATABASE_URL for a server of the demo's own."
        )


@contextmanager
def staged(admin: str) -> Iterator[Stage]:
    """Name a stage; whatever was made under the name is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="readonly-router-demo-") as folder:
        stage = Stage(
            admin=admin,
            name=f"demo_{secrets.token_hex(4)}",
            folder=Path(folder),
            password=secrets.token_urlsafe(12),
            twin_password=secrets.token_urlsafe(12),
        )
        try:
            yield stage
        finally:
            try:
                _remove(stage)
            except psycopg.Error as error:
                raise DemoError(
                    f"Cannot remove database {stage.name} and roles {stage.writer} and {stage.twin}; "
                    f"drop them by hand: {' '.join(str(error).split())}"
                ) from None


def build(stage: Stage) -> None:
    """Create the writer, which is no superuser, and its database."""
    with psycopg.connect(stage.admin, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(stage.writer), sql.Literal(stage.password)
            )
        )
        _join(admin, stage.writer)
        admin.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(stage.name), sql.Identifier(stage.writer))
        )


def _join(admin: psycopg.Connection[Any], role: str) -> None:
    """Let an admin that is no superuser give away, and take back, what belongs to the role."""
    if _value(admin, "SELECT NOT rolsuper FROM pg_roles WHERE rolname = current_user"):
        admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))


def _remove(stage: Stage) -> None:
    with psycopg.connect(stage.admin, autocommit=True) as admin:
        for role in _roles(admin, stage):
            _join(admin, role)
        # FORCE: the server may still be ending the session of a process that was killed a moment ago.
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(stage.name)))
        for role in _roles(admin, stage):
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def _roles(admin: psycopg.Connection[Any], stage: Stage) -> list[str]:
    found = admin.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", [f"{stage.name}_"])
    return [name for (name,) in found.fetchall()]


def leftovers(stage: Stage) -> list[str]:
    """Return what still bears the stage's name."""
    with psycopg.connect(stage.admin, autocommit=True) as admin:
        found = _roles(admin, stage)
        if _value(admin, "SELECT count(*) FROM pg_database WHERE datname = %s", stage.name):
            found.append(stage.name)
    return [*found, *([str(stage.folder)] if stage.folder.exists() else [])]


_RELATIONS = """SELECT format('%I.%I', n.nspname, c.relname), c.relkind FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1"""
_CONTENT = {
    "r": "SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')) FROM {} t",
    "m": "SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')) FROM {} t",
    "S": "SELECT last_value::text || is_called::text FROM {}",
}


def digest(stage: Stage) -> str:
    """Return a digest of every relation, every row and every sequence."""
    with stage.connect() as connection:
        found = [
            (name, kind, _value(connection, _CONTENT.get(kind, "SELECT 0").format(name)))
            for name, kind in connection.execute(_RELATIONS).fetchall()
        ]
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


def _value(connection: psycopg.Connection[Any], query: str, *parameters: str) -> Any:
    row = connection.execute(query.encode(), parameters or None).fetchone()
    return row[0] if row else None
