"""What an application makes of its own session: our questions work all the same, and leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.db.backends.signals import connection_created
from psycopg import rows

from readonly_router import is_read_only
from readonly_router.following import followers
from readonly_router.following.watch import watch_of
from tests.database import entry
from tests.harness.pairs import wait_for
from tests.switch.follower import (
    NEVER,
    following_anew,
    met_on,
    off,
    questions,
    sent_on,
    session,
    wait_until_writable,
)


class Careful(psycopg.ClientCursor[Any]):
    """An application's cursor, which refuses what the application did not write."""

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("only the application's statements")


def with_dict_rows(session: psycopg.Connection[Any]) -> None:
    session.row_factory = rows.dict_row


def with_own_cursors(session: psycopg.Connection[Any]) -> None:
    session.cursor_factory = Careful


def with_prepared_statements(session: psycopg.Connection[Any]) -> None:
    session.prepare_threshold = 0


def with_a_role(session: psycopg.Connection[Any]) -> None:
    psycopg.Cursor(session).execute(f'SET ROLE "{session.info.user}"')


def with_no_path(session: psycopg.Connection[Any]) -> None:
    psycopg.Cursor(session).execute("SET search_path = ''")


def with_no_patience(session: psycopg.Connection[Any]) -> None:
    psycopg.Cursor(session).execute("SET lock_timeout = '100ms'")


def with_no_time(session: psycopg.Connection[Any]) -> None:
    psycopg.Cursor(session).execute("SET statement_timeout = '100ms'")


KINDS = [
    *(with_dict_rows, with_own_cursors, with_prepared_statements, with_a_role, with_no_path, with_no_patience),
    with_no_time,
]


@pytest.fixture(autouse=True)
def follower(shop: None) -> Iterator[None]:
    with following_anew():
        yield


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> psycopg.Connection[Any]:
    """Return a session that an application made its own, and that is asked for news at each look."""
    monkeypatch.setattr(followers.of("default"), "ask_seconds", NEVER)
    monkeypatch.setattr(followers.of("default"), "look_seconds", 0.0)
    served = session()
    request.param(served)
    monkeypatch.setattr(followers.of("default"), "ask_seconds", 0.0)
    return served


def state(served: psycopg.Connection[Any]) -> tuple[Any, ...]:
    """Return what the session is, asked as a whole where it has no time to answer."""
    named = ("statement_timeout", "lock_timeout", "search_path", "role", "default_transaction_read_only")
    shown = [
        psycopg.Cursor(served, row_factory=rows.tuple_row).execute(f"SHOW {name}").fetchone() for name in named
    ]
    return served.row_factory, served.cursor_factory, served.prepare_threshold, served.autocommit, *shown


def test_the_switch_is_asked_for_and_the_session_stays_as_it_was(made: psycopg.Connection[Any]) -> None:
    before = state(made)
    with sent_on(made) as sent:
        is_read_only()
    assert (questions(sent) > 0, watch_of(made).pushed) == (True, True)
    assert (session() is made, state(made)) == (True, before)


def test_the_switch_is_met(made: psycopg.Connection[Any]) -> None:
    is_read_only()
    met_on()
    off()
    wait_until_writable()


def test_a_session_that_asks_because_it_cannot_listen_stays(made: psycopg.Connection[Any], settings: Any) -> None:
    settings.READONLY_ROUTER_LISTEN = False
    with sent_on(made) as sent:
        for _ in range(3):
            is_read_only()
    assert (questions(sent) >= 3, session() is made) == (True, True)


@pytest.mark.parametrize("made", [with_no_patience, with_no_time], indirect=True)
def test_a_timeout_of_the_application_costs_it_neither_its_session_nor_the_news(
    made: psycopg.Connection[Any], superuser: psycopg.Connection[Any]
) -> None:
    psycopg.Cursor(made).execute("CREATE TEMPORARY TABLE kept ()")
    with kept_waiting(superuser, made.info.backend_pid), sent_on(made) as sent:
        is_read_only()
    assert (questions(sent) > 1, session() is made, watch_of(made).pushed) == (True, True, True)
    psycopg.Cursor(made).execute("SELECT FROM kept")


@contextmanager
def kept_waiting(superuser: psycopg.Connection[Any], pid: int) -> Iterator[None]:
    """Lock what the question reads until it has waited for longer than the application would."""
    waits = """SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'
        AND clock_timestamp() - query_start > '300 ms'"""
    superuser.execute("BEGIN")
    superuser.execute("LOCK pg_db_role_setting IN ACCESS EXCLUSIVE MODE")

    def release() -> None:
        try:
            wait_for(lambda: superuser.execute(waits, [pid]).rowcount == 1, seconds=10)
        finally:
            superuser.execute("COMMIT")

    with ThreadPoolExecutor(1) as other:
        released = other.submit(release)
        yield
        released.result()


def test_what_is_set_as_a_session_begins_stays_without_autocommit() -> None:
    def set_path(connection: Any, **_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET search_path = elsewhere, public")

    with entry("default", AUTOCOMMIT=False):
        followers.forget()
        connection_created.connect(set_path)
        try:
            with connections["default"].cursor() as cursor:
                cursor.execute("SHOW search_path")
                assert cursor.fetchone() == ("elsewhere, public",)
        finally:
            connection_created.disconnect(set_path)
            connections["default"].close()
