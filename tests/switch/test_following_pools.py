"""A pool of psycopg's has other sessions than this thread's: they know less, or there is none to be had."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import psycopg
import pytest
from django.db import OperationalError, connection, connections, transaction
from psycopg.sql import SQL, Identifier

from readonly_router import ReadOnlyError, mode, read_only, switch_off
from readonly_router.connections import handler as resolution
from readonly_router.following import followers
from tests.database import entry, logins
from tests.harness.pairs import wait_for
from tests.switch.follower import flipped, following_anew, login, served_by, session, whose


@pytest.fixture(autouse=True)
def follower(shop: None) -> Iterator[None]:
    with following_anew():
        yield


@pytest.fixture
def pool() -> Iterator[None]:
    """A pool that holds one more session than this thread uses."""
    pooled = {"pool": {"min_size": 2, "max_size": 2}}
    with entry("default", OPTIONS=pooled, CONN_MAX_AGE=0):
        wrapper: Any = connections["default"]
        wrapper.pool.open(wait=True, timeout=10)
        yield
        wrapper.close()
        wrapper.close_pool()


@pytest.mark.parametrize("pinned", [False, True], ids=["", "pinned"])
def test_a_read_on_its_way_is_served_where_a_pool_has_another_session_that_knows_nothing_yet(
    pool: None, superuser: psycopg.Connection[Any], pinned: bool
) -> None:
    process = session().info.backend_pid
    pins = mode.pin(["default"] if pinned else [])
    try:
        with connection.cursor() as cursor:
            flipped()
            superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [process])
            assert whose(cursor) == "readonly"
    finally:
        mode.unpin(pins)


def test_a_busy_pool_is_no_reason_to_ask_the_twin() -> None:
    full = {"pool": {"min_size": 1, "max_size": 1, "timeout": 0.1}}
    with entry("default", OPTIONS=full, CONN_MAX_AGE=0):
        wrapper: Any = connections["default"]
        wrapper.pool.open(wait=True, timeout=10)
        with (
            wrapper.pool.connection(),
            logins() as seen,
            pytest.raises(OperationalError, match="couldn't get a connection"),
        ):
            served_by()
        assert seen == []
        wrapper.close_pool()


@pytest.mark.parametrize("opened_on", [True, False], ids=["while the switch was on", "afterwards"])
def test_a_read_on_its_way_is_served_where_off_ends_what_a_pool_opened_before(
    superuser: psycopg.Connection[Any], *, opened_on: bool
) -> None:
    """Who ends a session that began after off is nobody of ours: the error is the driver's."""
    flipped()
    with entry("default", OPTIONS={"pool": {"min_size": 1, "max_size": 1}}, CONN_MAX_AGE=0):
        wrapper: Any = connections["default"]
        if opened_on:
            wrapper.pool.open(wait=True, timeout=10)
        writer, database = Identifier(login("default")), Identifier(connections.settings["default"]["NAME"])
        superuser.execute(
            SQL("ALTER ROLE {} IN DATABASE {} RESET default_transaction_read_only").format(writer, database)
        )
        try:
            with connection.cursor() as cursor:
                superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [session().info.backend_pid])
                if opened_on:
                    assert whose(cursor) == "readonly"
                else:
                    with pytest.raises(OperationalError, match=r"terminating connection|closed the connection"):
                        whose(cursor)
        finally:
            wrapper.close()
            wrapper.close_pool()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """One session in the pool of an alias, of which this thread looks for news whenever it can."""
    monkeypatch.setattr(followers.of("default"), "ask_seconds", 0.0)
    monkeypatch.setattr(followers.of("default"), "look_seconds", 0.0)
    with entry(request.param, OPTIONS={"pool": {"min_size": 1, "max_size": 1, "timeout": 10}}, CONN_MAX_AGE=0):
        yield
        connections.close_all()
        # The alias may lead to its twin still.
        cast(Any, connections).real(request.param).close_pool()


@pytest.mark.parametrize("alone", ["default"], indirect=True)
def test_a_cursor_that_was_kept_does_not_follow_its_session_into_the_pool(
    alone: None, superuser: psycopg.Connection[Any]
) -> None:
    kept = connection.cursor()
    kept.execute("SET search_path = tenant_a, public")
    begun, written = threading.Event(), threading.Event()

    def another() -> str:
        token = mode.pin(["default"])
        try:
            begun.wait()
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SHOW search_path")
                (path,) = cursor.fetchone()
                written.wait()
            return str(path)
        finally:
            connections.close_all()
            mode.unpin(token)

    with ThreadPoolExecutor(1) as threads:
        request = threads.submit(another)
        flipped()
        wait_for(lambda: resolution.resolve("default") == "readonly")
        begun.set()
        try:
            with pytest.raises(ReadOnlyError):
                kept.execute("INSERT INTO shop_tag (name) VALUES ('of another')")
        finally:
            written.set()
        assert "tenant_a" not in request.result()
    assert superuser.execute("SELECT FROM shop_tag WHERE name = 'of another'").fetchall() == []


@pytest.mark.parametrize("alone", ["readonly"], indirect=True)
def test_what_went_along_to_the_twin_does_not_stay_in_its_pool(alone: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = tenant_a, public")
    flipped()
    wait_for(lambda: served_by() == "readonly")
    switch_off("default", grace=0)
    wait_for(lambda: served_by() == "default")
    with read_only(), connection.cursor() as cursor:
        cursor.execute("SHOW search_path")
        assert "tenant_a" not in cursor.fetchone()[0]
