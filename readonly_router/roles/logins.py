"""Opens psycopg connections for provisioning: as the admin, the writer and the twin, outside Django's handler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connections
from psycopg import sql

from ..databases import Settings
from ..errors import ProvisioningError

# What Django adds for its own cursors; provisioning uses psycopg's.
_DJANGO_PARAMETERS = ("context", "cursor_factory", "client_encoding", "prepare_threshold")
CONNECT_TIMEOUT_SECONDS = 10


def parameters(settings: Settings, alias: str) -> dict[str, Any]:
    """Return libpq parameters of a DATABASES entry, as Django would connect with it."""
    complete = {**connections.settings[alias], "OPTIONS": {}, **settings}
    # `real` is of our handler, which the stubs of django.db.connections cannot know.
    wrapper = type(connections.real(alias))(complete, alias)  # type: ignore[attr-defined]  # of our handler
    found = wrapper.get_connection_params()
    return {name: value for name, value in found.items() if name not in _DJANGO_PARAMETERS}


@contextmanager
def session(who: str, params: Mapping[str, Any], *, role: str = "") -> Iterator[psycopg.Connection[Any]]:
    """Open an autocommit session of our own, told apart in errors as `who`; as `role` where one is to be assumed.

    Raises ProvisioningError in one line when the login fails, or when a pooler would hand what is SET here to
    the site's own queries.
    """
    with connect(who, params) as connection:
        if through_pooler(connection):
            raise ProvisioningError(
                f"A pooler stands between this command and PostgreSQL for {who}; "
                "name a direct connection with --admin-url (or DATABASE_ADMIN_URL)."
            )
        # Names in the catalogs are then spelt with their schema, and no object of the site's shadows one of ours.
        connection.execute("SET search_path = ''")
        # The login's own default may be read-only, a standby's aside.
        connection.execute("SET default_transaction_read_only = off")
        if role:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        yield connection


def connect(who: str, params: Mapping[str, Any]) -> psycopg.Connection[Any]:
    """Return an autocommit connection, or raise ProvisioningError in one line."""
    wanted = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "application_name": "create_readonly_role",
        **params,
    }
    try:
        return psycopg.connect(autocommit=True, prepare_threshold=None, **wanted)
    except psycopg.Error as error:
        raise ProvisioningError(f"Cannot log in as {who}: {first_line(error)}") from None


def first_line(error: BaseException) -> str:
    """Return an error's text as one line."""
    return " ".join(str(error).split())


def server_identity(connection: psycopg.Connection[Any]) -> tuple[int, int, bool]:
    """Return the server's system identifier, the database's oid, and whether it is a standby."""
    row = connection.execute(
        "SELECT (SELECT system_identifier FROM pg_control_system()), oid::bigint, pg_is_in_recovery() "
        "FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    return row or (0, 0, False)


def through_pooler(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether a pooler stands between: the process libpq was told of is not the one that answers."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] != connection.info.backend_pid


def scram_verifier(connection: psycopg.Connection[Any], password: str, role: str) -> str:
    """Return the password as a SCRAM verifier, computed here, so that the server never sees the password.

    https://www.postgresql.org/docs/current/libpq-misc.html#LIBPQ-PQENCRYPTPASSWORDCONN
    """
    if not password:
        return ""
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    return verifier.decode()
