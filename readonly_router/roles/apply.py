"""Executes a plan: short transactions, bounded waits, retries where PostgreSQL says try again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from .. import advisory
from ..errors import ProvisioningError
from ..logins import one_line
from .spec import Actor, Role, Statement

Sessions = Mapping[Actor, psycopg.Connection[Any]]

# Shorter than the default deadlock_timeout (1 s), so that in a deadlock with the site's own ALTER it is us who
# let go first.
LOCK_TIMEOUT = "300ms"
# lock_not_available, deadlock_detected, serialization_failure, and internal_error: `tuple concurrently updated`.
RETRIED = frozenset({"55P03", "40P01", "40001", "XX000"})
ATTEMPTS = 200
LONGEST_PAUSE_SECONDS = 0.5
# undefined_table, undefined_object, undefined_function, invalid_schema_name: dropped since the plan was made.
GONE = frozenset({"42P01", "42704", "42883", "3F000"})


@contextmanager
def only_run(connection: psycopg.Connection[Any], wanted: Role) -> Iterator[None]:
    """Hold the advisory lock that keeps a second run on the same role and database away."""
    key = f"readonly_router:{wanted.name}"
    if not advisory.try_lock(connection, key):
        raise ProvisioningError(
            f"Another run is provisioning role '{wanted.name}' in this database "
            f"({advisory.describe_holders(connection, key)}); wait for it and run this again."
        )
    try:
        yield
    finally:
        if not connection.closed:
            advisory.unlock(connection, key)


def apply(sessions: Sessions, statements: Iterable[Statement], tell: Callable[[str], None]) -> tuple[int, int]:
    """Execute the statements in order, each in a transaction of its own; return how many ran and were stale.

    A stale statement names an object that is gone since the plan was made; it did nothing: plan again.
    """
    for connection in set(sessions.values()):
        connection.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT)))
    ran = stale = 0
    for statement in statements:
        if statement.actor not in sessions:
            raise ProvisioningError(f"No login at hand may {statement.says}; name one with --admin-url.")
        if _execute(sessions[statement.actor], statement):
            tell(statement.says)
            ran += 1
        else:
            stale += 1
    return ran, stale


def _execute(connection: psycopg.Connection[Any], statement: Statement) -> bool:
    """Return whether the statement ran; False when an object of it is gone."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _once(connection, statement)
        except psycopg.Error as error:
            if error.sqlstate in GONE:
                return False
            if error.sqlstate not in RETRIED or attempt == ATTEMPTS:
                cause = one_line(error).rstrip(".")
                raise ProvisioningError(
                    f"Could not {statement.says}: {cause}. What was done so far only reads; "
                    "run the command again when this is mended."
                ) from None
        else:
            return True
        # Random, so that two of us do not meet again.
        time.sleep(random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.01 * attempt)))  # noqa: S311 - not a secret
    return False


def _once(connection: psycopg.Connection[Any], statement: Statement) -> None:
    if not statement.first:
        connection.execute(statement.text)
        return
    with connection.transaction():
        connection.execute(sql.SQL("; ").join((*statement.first, statement.text)))


def wait_for_older_transactions(
    connection: psycopg.Connection[Any], *, seconds: float, tell: Callable[[str], None]
) -> tuple[str, ...]:
    """Wait until every transaction of this database that is older than now is over; return those that are not.

    A table that such a transaction created before the default privileges were committed holds no grant, and no
    GRANT of ours saw it. https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT
    """
    # An id of our own is above those of all transactions that began before.
    row = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
    boundary = row[0] if row else "0"
    deadline, told = time.monotonic() + seconds, False
    while older := _older_than(connection, boundary):
        if time.monotonic() >= deadline:
            return older
        if not told:
            tell(f"wait for {len(older)} transactions that began before the default privileges")
            told = True
        time.sleep(0.05)
    return ()


# A 32-bit xid in pg_locks is compared with the 64-bit boundary by its distance, as PostgreSQL does itself.
_OLDER = """SELECT coalesce(format('process %%s (%%s)', l.pid, coalesce(a.usename, '?')), 'a prepared transaction')
    FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted
      AND l.pid IS DISTINCT FROM pg_backend_pid()
      AND (a.datid IS NULL OR a.datid = (SELECT oid FROM pg_database WHERE datname = current_database()))
      AND (l.pid IS NOT NULL OR EXISTS (SELECT FROM pg_prepared_xacts p
           WHERE p.transaction = l.transactionid AND p.database = current_database()))
      AND ((l.transactionid::text::bigint - %(boundary)s::text::bigint) & 4294967295) >= 2147483648"""


def _older_than(connection: psycopg.Connection[Any], boundary: str) -> tuple[str, ...]:
    return tuple(row[0] for row in connection.execute(_OLDER, {"boundary": boundary}))
