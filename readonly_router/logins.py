"""Opens every session of our own: as the admin, the writer and the twin, outside Django's handler.

What the owner of a database set for it (a search_path with shadowed names, a DateStyle, a timeout) must not decide
what our SQL means or runs: the first statement of each session ends that. https://www.postgresql.org/docs/current/
ddl-schemas.html#DDL-SCHEMAS-PATTERNS
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connections
from django.db.utils import load_backend
from psycopg import sql
from psycopg.pq import TransactionStatus

from . import conf, libpq
from .databases import Settings
from .errors import ProvisioningError
from .place import Place

# What Django adds for its own cursors; ours are psycopg's.
_DJANGO_PARAMETERS = ("context", "cursor_factory", "client_encoding", "prepare_threshold")
CONNECT_TIMEOUT_SECONDS = 10
POOLED = (
    "A pooler stands between this command and PostgreSQL for {who}; "
    "name a direct connection with --admin-url (or DATABASE_ADMIN_URL)."
)

# What decides how our SQL is read, or cuts it short. The order of the two selects matters: what the site's own
# path leads to is asked before the path is emptied.
_SETTINGS = {"search_path": "", "datestyle": "ISO", "standard_conforming_strings": "on", "statement_timeout": "0"}
_FIRST = """SELECT s.pooled, s.schemas, {settings} FROM (
    SELECT pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.<>) {pid} AS pooled,
           pg_catalog.current_schemas(false)::pg_catalog.text[] AS schemas OFFSET 0) s"""
_SETTING = "pg_catalog.set_config({name}, {value}, s.pooled)"
# As the session starts; no pooler takes them.
_OPTIONS = "-c search_path= -c datestyle=ISO -c statement_timeout=0 -c idle_session_timeout=0"
_LOCAL = "SET LOCAL search_path = ''"
_ROLE = "SET {local}ROLE {role}"


class Session(psycopg.Connection[Any]):
    """A session in which every name, operator and cast without a schema is pg_catalog's.

    `pooled`: a pooler stands between, so nothing is set beyond a transaction, and each statement is in one.
    `schemas`: where the login's own search_path leads, as the site's queries go.
    """

    pooled: bool = False
    schemas: tuple[str, ...] = ()
    role: str = ""

    def execute(self, *args: Any, **kwargs: Any) -> psycopg.Cursor[Any]:
        """Execute a statement."""
        if not self.pooled or self.info.transaction_status is not TransactionStatus.IDLE:
            return super().execute(*args, **kwargs)
        with self.transaction():
            return super().execute(*args, **kwargs)

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """Open a transaction, or a savepoint within one."""
        begins = self.pooled and self.info.transaction_status is TransactionStatus.IDLE
        with super().transaction(savepoint_name, force_rollback) as transaction:
            if begins:
                super().execute(_LOCAL)
            if begins and self.role:
                super().execute(_set_role(self.role, "LOCAL "))
            yield transaction

    def assume(self, role: str) -> None:
        """Act as a role that the login is a member of, as Django does with `assume_role`."""
        self.role = role
        if not self.pooled:
            self.execute(_set_role(role))
        with self.transaction():
            # "$user" is another one now.
            self.execute("SET LOCAL search_path TO DEFAULT")
            row = self.execute("SELECT pg_catalog.current_schemas(false)::pg_catalog.text[]").fetchone()
            self.schemas = tuple(row[0]) if row else ()


def _set_role(role: str, local: str = "") -> sql.Composed:
    return sql.SQL(_ROLE).format(local=sql.SQL(local), role=sql.Identifier(role))


def parameters(settings: Settings, alias: str) -> dict[str, Any]:
    """Return libpq parameters of a DATABASES entry, as Django would connect with it."""
    complete = {**connections.settings[alias], "OPTIONS": {}, **settings}
    wrapper = load_backend(complete["ENGINE"]).DatabaseWrapper(complete, alias)
    found = wrapper.get_connection_params()
    kept = {name: value for name, value in found.items() if name not in _DJANGO_PARAMETERS}
    return libpq.as_twin(kept) if alias in conf.writers() else kept


def by_way_of(other: Mapping[str, Any], login: Mapping[str, Any]) -> dict[str, Any]:
    """Return a login on another's way to the server."""
    way = ("host", "port", "dbname")
    kept = {name: value for name, value in login.items() if name not in way}
    return {**kept, **{name: other[name] for name in way if name in other}}


@contextmanager
def session(who: str, params: Mapping[str, Any], *, role: str = "") -> Iterator[Session]:
    """Open a direct session that may set and write, told apart in errors as `who`; as `role` where one is assumed.

    Raises ProvisioningError in one line when the login fails, or when a pooler would hand what is SET here to
    the site's own queries.
    """
    options = f"{params.get('options', '')} {_OPTIONS}".strip()
    with connect(who, {**params, "options": options}, role=role) as connection:
        if connection.pooled:
            raise ProvisioningError(POOLED.format(who=who))
        # The login's own default may be read-only, a standby's aside.
        connection.execute("SET default_transaction_read_only = off")
        if connection.info.server_version >= 170000:
            connection.execute("SET transaction_timeout = 0")
        yield connection


def connect(who: str, params: Mapping[str, Any], *, role: str = "") -> Session:
    """Return an autocommit session, or raise ProvisioningError in one line."""
    wanted = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "application_name": "create_readonly_role",
        "client_encoding": "UTF8",
        **params,
    }
    try:
        connection = Session.connect(autocommit=True, prepare_threshold=None, **wanted)
    except psycopg.Error as error:
        if _OPTIONS in str(wanted.get("options")) and "startup parameter" in str(error):
            raise ProvisioningError(POOLED.format(who=who)) from None
        raise ProvisioningError(f"Cannot log in as {who}: {one_line(error)}") from None
    try:
        _make_safe(connection)
        if role:
            connection.assume(role)
    except psycopg.Error as error:
        # A pooler lets in whom the server does not, and says so at the first statement.
        connection.close()
        raise ProvisioningError(f"Cannot log in as {who}: {one_line(error)}") from None
    return connection


def _make_safe(connection: Session) -> None:
    settings = sql.SQL(", ").join(
        sql.SQL(_SETTING).format(name=sql.Literal(name), value=sql.Literal(value))
        for name, value in _SETTINGS.items()
    )
    pid = sql.Literal(connection.info.backend_pid)
    row = connection.execute(sql.SQL(_FIRST).format(settings=settings, pid=pid)).fetchone()
    if row is not None:
        connection.pooled, connection.schemas = bool(row[0]), tuple(row[1])


def one_line(error: BaseException) -> str:
    """Return an error's text as one line."""
    return " ".join(str(error).split())


def login_of(connection: psycopg.Connection[Any]) -> str:
    """Return who logged in, as the server knows it."""
    row = connection.execute("SELECT session_user::text").fetchone()
    return str(row[0]) if row else ""


# Spelt whole: it is asked on the site's own sessions too.
_PLACE = """SELECT {system}, d.datname::pg_catalog.text, d.oid::pg_catalog.int8, pg_catalog.pg_is_in_recovery(),
    (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())
        OPERATOR(pg_catalog.*) 1000000::pg_catalog.float8)::pg_catalog.int8
    FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()"""
_SYSTEM = "(SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)"


def place_of(connection: psycopg.Connection[Any]) -> Place:
    """Return which server and database a session leads to; asked outside a transaction."""
    try:
        return _place(connection, _SYSTEM)
    except psycopg.errors.InsufficientPrivilege:
        # EXECUTE is PUBLIC's by default; some hosts revoke it.
        if not connection.autocommit:
            connection.rollback()
        return _place(connection, "NULL::pg_catalog.int8")


def _place(connection: psycopg.Connection[Any], system: str) -> Place:
    row = connection.execute(_PLACE.format(system=system).encode(), prepare=False).fetchone()
    if not connection.autocommit:
        connection.rollback()
    found, database, oid, standby, started = row or (None, "", 0, False, 0)
    return Place(system=found, database=database, oid=oid, standby=standby, started=started)


def scram_verifier(connection: psycopg.Connection[Any], password: str, role: str) -> str:
    """Return the password as a SCRAM verifier, computed here, so that the server never sees the password.

    https://www.postgresql.org/docs/current/libpq-misc.html#LIBPQ-PQENCRYPTPASSWORDCONN
    """
    if not password:
        return ""
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    return verifier.decode()
