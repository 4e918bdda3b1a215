"""Which pair is to be switched, and how its server is reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connections
from psycopg import sql

from .. import conf
from ..errors import ProvisioningError, SwitchError
from ..following import writer_login
from ..roles import logins
from .catalog import Connection
from .mark import APPLICATION, SETTING
from .spec import Target

# A role or a server may commit without waiting for the disk; a crash would then take back what a receipt says.
# https://www.postgresql.org/docs/current/wal-async-commit.html
_DURABLE = """SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'"""


def target_for(alias: str, *, admin: Mapping[str, Any] | None = None) -> Target:
    """Return what to switch for a pair; `admin` is a DATABASES entry of another login than the writer's."""
    twin_alias = conf.twins().get(alias)
    if twin_alias is None:
        raise SwitchError(
            f"'{alias}' is no writer of READONLY_ROUTER_PAIRS; name one of: {', '.join(conf.twins())}."
        )
    for name in (alias, twin_alias):
        if name not in connections.settings:
            raise SwitchError(f"DATABASES has no '{name}'; add it (see databases_from_env).")
    site = _parameters(connections.settings[alias], alias)
    login, database, server, begins_read_only = _identity(alias, site)
    way = site
    if admin is not None:
        way = {**_parameters(dict(admin), alias), "dbname": database or site["dbname"]}
    return Target(
        alias=alias,
        twin_alias=twin_alias,
        writer=login or writer_login(alias) or site.get("user", ""),
        way=way,
        twin=_parameters(connections.settings[twin_alias], twin_alias),
        site=site,
        own=admin is None,
        server=server,
        begins_read_only=begins_read_only,
    )


_IDENTITY = "SELECT session_user::text, current_database()::text, current_setting(%s) = 'on'"


def _identity(alias: str, site: Mapping[str, Any]) -> tuple[str, str, tuple[int, int, bool] | None, bool]:
    """Return who and where the writer's login is in truth, and how it begins; nothing when it is fenced off."""
    try:
        with logins.connect(f"the writer '{alias}'", site) as connection:
            login, database, begins_read_only = connection.execute(_IDENTITY, [SETTING]).fetchone() or (
                "",
                "",
                False,
            )
            return login, database, logins.server_identity(connection), begins_read_only
    except (ProvisioningError, psycopg.Error):
        # A pooler lets in whom the server does not, and says so at the first query.
        return "", "", None, False


def begins_read_only(target: Target, *, direct: bool = False) -> bool:
    """Log in the way the site does, and tell whether the session begins read-only.

    `direct` leaves out a pooler's: it may hand out one that began under the switch.
    """
    with connect(f"the writer '{target.alias}'", target.site) as connection:
        row = connection.execute("SELECT current_setting(%s) = 'on', pg_backend_pid()", [SETTING]).fetchone()
        return bool(row and row[0] and not (direct and row[1] != connection.info.backend_pid))


def _parameters(settings: Mapping[str, Any], alias: str) -> dict[str, Any]:
    return {**logins.parameters(dict(settings), alias), "application_name": APPLICATION}


@contextmanager
def session(target: Target) -> Iterator[Connection]:
    """Open the operator's session: direct, autocommit, and writable whatever its role's default is."""
    who = f"the writer '{target.alias}'" if target.own else "the admin (--admin-url or DATABASE_ADMIN_URL)"
    try:
        with logins.session(who, target.way) as connection:
            if target.server and logins.server_identity(connection) != target.server:
                raise SwitchError(
                    "--admin-url leads to another server than the writer's login; name the same server."
                )
            # A site's login often has these; they are not meant for its operator.
            for timeout in ("statement_timeout", "idle_session_timeout"):
                connection.execute(sql.SQL("SET {} = 0").format(sql.Identifier(timeout)))
            connection.execute(_DURABLE)
            yield connection
    except ProvisioningError as error:
        fenced = "; where the switch fenced it (--fence login), name another login with --admin-url"
        hint = fenced if target.own and not target.server else ""
        raise SwitchError(f"{error}{hint}") from None


@contextmanager
def reading_session(target: Target, *, direct: bool = False) -> Iterator[Connection]:
    """Open the operator's session, or where that login is fenced off or absent, the twin's: both may read.

    Through a pooler it is one transaction: what is set there is gone when the session serves others. `direct`
    refuses one: a transaction sees the server's counters as they were at its start.
    """
    try:
        connection, pooled = _answering("the operator", target.way)
    except ProvisioningError as first:
        try:
            connection, pooled = _answering(f"the twin '{target.twin_alias}'", target.twin)
        except ProvisioningError:
            raise SwitchError(str(first)) from None
    with connection:
        if pooled:
            if direct:
                raise SwitchError(
                    "A pooler stands between this command and PostgreSQL; name a direct connection with "
                    "--admin-url (or DATABASE_ADMIN_URL)."
                )
            with connection.transaction():
                connection.execute("SET LOCAL search_path = ''")
                yield connection
            return
        connection.execute("SET search_path = ''")
        yield connection


def _answering(who: str, way: Mapping[str, Any]) -> tuple[Connection, bool]:
    """Return a connection, and whether it is through a pooler; raise ProvisioningError where nobody answers."""
    connection = logins.connect(who, way)
    try:
        return connection, logins.through_pooler(connection)
    except psycopg.Error as error:
        connection.close()
        raise ProvisioningError(f"Cannot log in as {who}: {logins.first_line(error)}") from None


def connect(who: str, way: Mapping[str, Any]) -> Connection:
    """Return an autocommit connection, or raise SwitchError in one line."""
    try:
        return logins.connect(who, way)
    except ProvisioningError as error:
        raise SwitchError(str(error)) from None
