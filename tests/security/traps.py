"""A trap that every plant springs: the server's own statistics tell afterwards as whom it ran.

They count whatever becomes of the transaction, also in a read-only one, or while a query is planned.
https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-USER-FUNCTIONS-VIEW
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from tests.database import Scratch
from tests.harness.pairs import wait_for

# Of a test's own superuser, who must not step on anything.
CAREFUL = "-c search_path= -c role=none"
CONTROL = "the test itself"

# Whoever runs it also tries to make the site's login a superuser. IMMUTABLE, so that an index takes it; what it
# calls is not.
_SPRUNG = """CREATE FUNCTION trap.sprung() RETURNS boolean LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog
    AS $trap$ DECLARE who text; BEGIN
        PERFORM set_config('trap.sprung', 'yes', false);
        FOREACH who IN ARRAY ARRAY[current_user::text, session_user::text] LOOP
            EXECUTE format('SELECT trap.%I()', 'as ' || who);
        END LOOP;
        RETURN true;
    END $trap$"""
_AS = """CREATE FUNCTION trap.{} () RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog
    AS $trap$ BEGIN
        ALTER ROLE {} SUPERUSER;
    EXCEPTION WHEN OTHERS THEN NULL;
    END $trap$"""
_CONTROL = f"""CREATE FUNCTION trap."as {CONTROL}"() RETURNS void LANGUAGE plpgsql AS 'BEGIN END'"""
_SEEN = """SELECT substr(funcname, 4) FROM pg_stat_user_functions
    WHERE schemaname = 'trap' AND starts_with(funcname, 'as ') AND calls > 0"""
_OTHERS = """SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type = 'client backend'"""


def careful(scratch: Scratch) -> psycopg.Connection[Any]:
    """Return a superuser's session that runs nothing of the site's."""
    return psycopg.connect(scratch.admin_url, autocommit=True, options=CAREFUL)


def set_up(scratch: Scratch, roles: Iterable[str]) -> None:
    """Make the trap in a database; `roles` are all that may spring it."""
    with careful(scratch) as superuser:
        superuser.execute("CREATE SCHEMA trap")
        superuser.execute("GRANT USAGE ON SCHEMA trap TO PUBLIC")
        superuser.execute(_SPRUNG)
        superuser.execute(_CONTROL)
        for role in roles:
            names = sql.Identifier(f"as {role}"), sql.Identifier(scratch.writer)
            superuser.execute(sql.SQL(_AS).format(*names))
        # Only a superuser may set it; it holds for every session that begins from now on.
        database = sql.Identifier(scratch.name)
        superuser.execute(sql.SQL("ALTER DATABASE {} SET track_functions = 'all'").format(database))


def sprung_as(scratch: Scratch) -> set[str]:
    """Return the roles as which the trap was sprung by sessions that are over."""
    with careful(scratch) as superuser:
        wait_for(lambda: not superuser.execute(_OTHERS).fetchall())
    # Statistics arrive in the order in which sessions end: one of our own is the last.
    with careful(scratch) as superuser:
        superuser.execute(sql.SQL("SELECT trap.{}()").format(sql.Identifier(f"as {CONTROL}")))
    with careful(scratch) as superuser:
        wait_for(lambda: CONTROL in _seen(superuser))
        return _seen(superuser) - {CONTROL}


def _seen(superuser: psycopg.Connection[Any]) -> set[str]:
    return {name for (name,) in superuser.execute(_SEEN)}


def springs(scratch: Scratch, statement: str) -> bool:
    """Return whether a superuser who takes no care springs the trap with a statement, which is rolled back."""
    with scratch.superuser() as careless:
        careless.execute("BEGIN")
        careless.execute(statement.encode())
        row = careless.execute("SELECT pg_catalog.current_setting('trap.sprung', true)").fetchone()
        careless.execute("ROLLBACK")
    return bool(row and row[0])


def is_superuser(scratch: Scratch, role: str) -> bool:
    """Return whether a role was made one."""
    with careful(scratch) as superuser:
        row = superuser.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    return bool(row and row[0])
