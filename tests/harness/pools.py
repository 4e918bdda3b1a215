"""What a pooler's clients are handed: which server connection, and what is set on it."""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import connections

from tests.database import Scratch
from tests.harness.pairs import by_way_of, lead


def lead_through(pair: Scratch, bouncer: str) -> None:
    """Make both aliases lead through PgBouncer, as its users are told to; the pair's own URLs stay direct."""
    for alias in (pair.alias, pair.twin_alias):
        lead(alias, bouncer)
        connections.settings[alias]["DISABLE_SERVER_SIDE_CURSORS"] = True


def end_pool(pair: Scratch, user: str) -> None:
    """End a login's connections to the server, so that its pool begins anew."""
    with pair.superuser() as connection:
        query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s"
        connection.execute(query, [user])


def pooled(pair: Scratch, bouncer: str, user: str) -> psycopg.Connection[Any]:
    """Log in through PgBouncer as anybody else of the site would."""
    return psycopg.connect(by_way_of(pair.url(user), bouncer), autocommit=True)


def session(pair: Scratch, bouncer: str, user: str) -> tuple[Any, ...]:
    """Return which server connection a pool hands out, and what is set on it."""
    names = ("lock_timeout", "search_path", "default_transaction_read_only", "role", "statement_timeout")
    columns = ", ".join(f"current_setting('{name}')" for name in names)
    with pooled(pair, bouncer, user) as connection:
        return connection.execute(f"SELECT pg_backend_pid(), {columns}".encode()).fetchone() or ()


def pool_size(pair: Scratch, user: str) -> int:
    """Count a login's connections to the server."""
    with pair.superuser() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND datname = %s"
        return int((connection.execute(query, [user, pair.name]).fetchone() or (0,))[0])
