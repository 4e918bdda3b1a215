"""Advisory locks: one command at a time, and who is in its way.

Every name is spelt whole: the migrations page asks on the site's own session.
https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADVISORY-LOCKS
"""

from __future__ import annotations

from typing import Any

import psycopg

Connection = psycopg.Connection[Any]

_KEY = "pg_catalog.hashtextextended(%s::pg_catalog.text, 0::pg_catalog.int8)"
_TRY = f"SELECT pg_catalog.pg_try_advisory_lock({_KEY})"
_UNLOCK = f"SELECT pg_catalog.pg_advisory_unlock({_KEY})"

# By an operator's session, whose search_path is empty.
_HOLDERS = """SELECT l.pid, coalesce(a.usename::text, '?')
    FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid), (SELECT hashtextextended(%s, 0) AS key) k
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.classid::bigint = (k.key >> 32) & 4294967295 AND l.objid::bigint = k.key & 4294967295 ORDER BY 1"""


def try_lock(connection: Connection, name: str) -> bool:
    """Take an advisory lock of this session if it is free; return whether it is ours now."""
    row = connection.execute(_TRY, [name]).fetchone()
    return bool(row and row[0])


def unlock(connection: Connection, name: str) -> None:
    """Give an advisory lock back."""
    connection.execute(_UNLOCK, [name])


def holders(connection: Connection, name: str) -> tuple[tuple[int, str], ...]:
    """Return the other sessions that hold a lock, as (process, role)."""
    return tuple((pid, role) for pid, role in connection.execute(_HOLDERS, [name]))


def describe_holders(connection: Connection, name: str) -> str:
    """Return who holds a lock, each with the statement that ends its session: any login may take such a lock."""
    found = [
        f"process {pid} of role '{role}', ended by SELECT pg_terminate_backend({pid})"
        for pid, role in holders(connection, name)
    ]
    return "; ".join(found) or "just gone"
