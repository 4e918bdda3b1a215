"""A twin's session as it begins: read-only, nobody else's login, and by a driver that says so."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.db.utils import load_backend

from .. import conf, mode
from ..conf import ProcessMode
from ..errors import ConfigurationError
from ..following import followers
from ..following.watch import plain_cursor
from ..libpq import same_login


def starts_read_only(connection: Any) -> bool:
    """Return whether the session's transactions start read-only; PostgreSQL 14+ reports both parameters unasked.

    https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
    """
    reported = connection.info.parameter_status
    return "on" in (reported("default_transaction_read_only"), reported("in_hot_standby"))


def refuse_writers_login(connection: Any, twin: str) -> None:
    """Raise ConfigurationError where libpq's user is the writer's: services and PGUSER may lead there too."""
    writer = conf.writers().get(twin)
    if (
        writer is None
        or mode.process() is ProcessMode.LOCKED
        or connection.info.parameter_status("in_hot_standby") == "on"
    ):
        return
    if connection.info.user == followers.of(writer).login:
        raise ConfigurationError(IS_THE_WRITER.format(twin=twin, writer=writer))


IS_THE_WRITER = (
    "DATABASES['{twin}'] logs in as the writer '{writer}' itself, so nothing would refuse a write; "
    "give it a USER of its own and run manage.py create_readonly_role."
)


def start_read_only(connection: Any) -> bool:
    """Make the session read-only where its role did not already; return whether a statement was sent."""
    if starts_read_only(connection):
        return False
    # One statement, that sets nothing in the session of another role: a pooler may log everybody in as one user.
    row = (
        plain_cursor(connection)
        .execute(
            "SELECT session_user::pg_catalog.text, CASE"
            " WHEN session_user OPERATOR(pg_catalog.=) %s::pg_catalog.text"
            " THEN pg_catalog.set_config('default_transaction_read_only', 'on', false) END",
            [connection.info.user],
        )
        .fetchone()
    )
    if row is None or row[0] != connection.info.user:
        raise ConfigurationError(
            f"The twin's login '{connection.info.user}' became role '{row and row[0]}' on the way (a pooler's "
            "forced user?), so nothing would refuse a write; give the twin an entry of its own in the pooler."
        )
    return True


def unusable_engine(engine: str) -> bool:
    """Return whether an engine is not PostgreSQL with psycopg 3."""
    return _driver(engine) != "psycopg"


def refuse_unsafe_twin(twin: str, entries: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for a twin through which writes could land."""
    writer = conf.writers()[twin]
    if twin not in entries or writer not in entries:
        return  # Django names the missing alias.
    if unusable_engine(entries[twin]["ENGINE"]):
        raise ConfigurationError(
            f"DATABASES['{twin}'] is not PostgreSQL with psycopg 3, so nothing would refuse a write; "
            "use django.db.backends.postgresql and install psycopg."
        )
    if mode.process() is not ProcessMode.LOCKED and same_login(entries[twin], entries[writer]):
        raise ConfigurationError(IS_THE_WRITER.format(twin=twin, writer=writer))


@lru_cache
def _driver(engine: str) -> str:
    """Return the name of a PostgreSQL engine's driver module; empty for another vendor."""
    wrapper = load_backend(engine).DatabaseWrapper
    return str(wrapper.Database.__name__) if wrapper.vendor == "postgresql" else ""
