"""What PostgreSQL says of the switch: roles and their settings, sessions, locks, and where the database stands."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

import psycopg

from .. import advisory
from ..errors import SwitchError
from ..mark import APPLICATION, SETTING, WRITABLE_LOCK
from .spec import RoleFacts, Session

Connection = psycopg.Connection[Any]

# The names of the database's own roles; the login at work must be able to see and to end a session of each.
_ROLES = """SELECT r.rolname::text, r.rolsuper, r.rolcanlogin,
    pg_has_role(r.oid, 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE'),
    pg_has_role(r.oid, 'USAGE') OR (NOT r.rolsuper AND pg_has_role('pg_signal_backend', 'USAGE')),
    u.rolsuper OR r.oid = u.oid OR (u.rolcreaterole AND NOT r.rolsuper
        AND (current_setting('server_version_num')::int < 160000
             OR pg_has_role(r.oid, 'USAGE WITH ADMIN OPTION'))),
    (SELECT split_part(c, '=', 2) FROM pg_db_role_setting s, unnest(s.setconfig) c
     WHERE s.setrole = r.oid AND s.setdatabase = d.oid AND c LIKE %(setting)s || '=%%')
    FROM pg_roles r, pg_roles u, pg_database d
    WHERE u.rolname = current_user AND d.datname = current_database() AND r.rolname = ANY (%(names)s)"""


def roles(connection: Connection, names: Iterable[str]) -> dict[str, RoleFacts]:
    """Return what the roles of these names are; a missing one is left out."""
    rows = connection.execute(_ROLES, {"setting": SETTING, "names": list(names)})
    return {
        name: RoleFacts(
            name=name,
            superuser=is_super,
            canlogin=login,
            visible=visible,
            endable=endable,
            alterable=alterable,
            setting=setting,
        )
        for name, is_super, login, visible, endable, alterable, setting in rows
    }


def acting(connection: Connection) -> str:
    """Return whose rights count: a login may have been given another role by ALTER ROLE ... SET role."""
    row = connection.execute("SELECT current_user::text").fetchone()
    return str(row[0]) if row else ""


def can_log_in(connection: Connection, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the roles that may log in."""
    rows = connection.execute(
        "SELECT rolname::text FROM pg_roles WHERE rolcanlogin AND rolname = ANY (%s) ORDER BY 1", [list(names)]
    )
    return tuple(row[0] for row in rows)


# Logins that may write: they, a role they are a member of, or PUBLIC owns a relation or holds more than SELECT.
_UNCOVERED = """WITH writing AS (
        SELECT relowner AS role FROM pg_class WHERE relkind IN ('r', 'p', 'm', 'S', 'f') AND oid >= 16384
        UNION SELECT a.grantee FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.relkind IN ('r', 'p', 'v', 'S', 'f') AND c.oid >= 16384
          AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'USAGE')
        -- REFRESH, from PostgreSQL 17 on.
        UNION SELECT a.grantee FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.relkind = 'm' AND c.oid >= 16384 AND a.privilege_type = 'MAINTAIN'
        UNION SELECT a.grantee FROM pg_attribute t, aclexplode(t.attacl) a
        WHERE t.attrelid >= 16384 AND a.privilege_type IN ('INSERT', 'UPDATE')
        UNION SELECT oid FROM pg_roles
        WHERE rolname IN ('pg_write_all_data', 'pg_maintain', 'pg_execute_server_program'))
    SELECT r.rolname::text, r.rolsuper FROM pg_roles r WHERE r.rolcanlogin AND NOT r.rolname = ANY (%(fenced)s)
      AND (r.rolsuper OR (has_database_privilege(r.oid, current_database(), 'CONNECT') AND EXISTS (
           SELECT FROM writing w WHERE w.role = 0 OR pg_has_role(r.oid, w.role, 'MEMBER')))) ORDER BY 1"""


def unfenced(connection: Connection, fenced: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the other logins that may write here, and the superusers among all logins."""
    rows = connection.execute(_UNCOVERED, {"fenced": list(fenced)}).fetchall()
    return tuple(name for name, is_super in rows if not is_super), tuple(
        name for name, is_super in rows if is_super
    )


# -- sessions

_SESSIONS = """SELECT a.pid, a.usename::text, coalesce(a.backend_type, ''), a.state, a.backend_start,
    extract(epoch FROM clock_timestamp() - a.state_change)::float,
    extract(epoch FROM clock_timestamp() - a.xact_start)::float,
    coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''), coalesce(a.query, '')
    FROM pg_stat_activity a WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
      AND a.usename = ANY (%s) AND a.pid <> ALL (%s) ORDER BY a.xact_start NULLS LAST, a.pid"""


def sessions(connection: Connection, names: Iterable[str], *, own: Iterable[int]) -> list[Session]:
    """Return the sessions of these roles in this database, but our own: this one, and those of `own` processes."""
    return [
        Session(
            pid=pid,
            role=role,
            kind=kind,
            state=state,
            began=began,
            idle_for=idle_for,
            open_for=open_for,
            application=application,
            client=client,
            query=query,
        )
        for (
            pid, role, kind, state, began, idle_for, open_for, application, client, query,
        ) in connection.execute(_SESSIONS, [list(names), list(own)])
    ]  # fmt: skip


def everyone(connection: Connection) -> tuple[str, ...]:
    """Return every role that has a session in this database, but our own."""
    rows = connection.execute(
        "SELECT DISTINCT usename::text FROM pg_stat_activity WHERE datname = current_database()"
        " AND usename IS NOT NULL AND pid <> pg_backend_pid()"
    )
    return tuple(row[0] for row in rows)


def starting(connection: Connection) -> tuple[int, ...]:
    """Return the processes of sessions that hold a virtual transaction id but have no name yet.

    The order matters: a session's start-up transaction ends only after its entry is visible, so the ids come
    first, and the names in a statement of their own. https://www.postgresql.org/docs/current/view-pg-locks.html
    """
    rows = connection.execute("SELECT pid FROM pg_locks WHERE locktype = 'virtualxid' AND pid <> pg_backend_pid()")
    holders = {row[0] for row in rows}
    if not holders:
        return ()
    named = connection.execute("SELECT pid FROM pg_stat_activity WHERE usesysid IS NOT NULL OR datid IS NOT NULL")
    return tuple(sorted(holders - {row[0] for row in named}))


def prepared(connection: Connection) -> tuple[str, ...]:
    """Return the prepared transactions of this database, each with its owner."""
    return tuple(
        row[0]
        for row in connection.execute(
            "SELECT format('%s of ''%s''', quote_literal(gid), owner) FROM pg_prepared_xacts"
            " WHERE database = current_database() ORDER BY 1"
        )
    )


def writing_through(connection: Connection) -> frozenset[int]:
    """Return the processes of sessions that write through the switch (`writable()`)."""
    return frozenset(pid for pid, _ in advisory.holders(connection, WRITABLE_LOCK))


END_OWN_MILLISECONDS = 10_000


def end_own(connection: Connection, pid: int) -> None:
    """End an earlier session of the same command, and return when it is gone, with its transaction and locks."""
    query = "SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity WHERE pid = %s AND application_name = %s"
    row = connection.execute(query, [END_OWN_MILLISECONDS, pid, APPLICATION]).fetchone()
    if row is not None and not row[0]:
        raise SwitchError(f"the command's own session (process {pid}) does not end")


_IDENTITY = """SELECT (SELECT system_identifier::text FROM pg_control_system()), oid::bigint,
    CASE WHEN NOT pg_is_in_recovery() THEN
        ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END
    FROM pg_database WHERE datname = current_database()"""


def identity(connection: Connection) -> tuple[str, int, int | None]:
    """Return what tells this server, and its standbys, from every other, the database's OID, and the timeline.

    A promotion begins another timeline; None on a standby.
    """
    system, oid, timeline = connection.execute(_IDENTITY).fetchone() or ("", 0, None)
    return str(system), int(oid), timeline


def subscriptions(connection: Connection) -> tuple[tuple[str, str], ...]:
    """Return the enabled subscriptions of this database with their owners."""
    rows = connection.execute(
        "SELECT subname::text, pg_get_userbyid(subowner)::text FROM pg_subscription WHERE subenabled"
        " AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1"
    )
    return tuple((name, owner) for name, owner in rows)


def server_time(connection: Connection) -> datetime:
    """Return the server's clock as an aware datetime."""
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    if row is None:
        raise SwitchError("PostgreSQL did not tell the time.")
    return cast(datetime, row[0])


def own_transaction(connection: Connection) -> int:
    """Return the id of the transaction that is open, and take one if it has none."""
    row = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
    return int(row[0]) if row else 0
