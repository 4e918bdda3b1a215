"""What a pooler's clients are handed: which server connection, and what is set on it."""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import connections

from tests.database import Scratch
from tests.harness.pairs import by_way_of, lead
from tests.plugin import url_for


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
    return psycopg.connect(by_way_of(pair.url(user), bouncer), autocommit=True, prepare_threshold=None)


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


def console(bouncer: str) -> psycopg.Connection[Any]:
    """Log in to PgBouncer's own database, which takes commands and answers for itself."""
    return psycopg.connect(url_for(bouncer, database="pgbouncer"), autocommit=True)


def queries(pair: Scratch, bouncer: str) -> int:
    """Count what was sent to the pair's database through PgBouncer so far."""
    with console(bouncer) as connection:
        cursor = connection.execute("SHOW STATS")
        columns = [column.name for column in cursor.description or ()]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return next((int(row["total_query_count"]) for row in rows if row["database"] == pair.name), 0)


def tell_anew(pair: Scratch, bouncer: str) -> None:
    """Have PgBouncer ask the server anew what it tells each client that logs in."""
    with console(bouncer) as connection:
        connection.execute(f'RECONNECT "{pair.name}"'.encode())
