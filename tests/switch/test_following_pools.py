"""A pool of psycopg's has other sessions than this thread's: they know less, or there is none to be had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, connections

from readonly_router import mode
from tests.database import entry, logins
from tests.switch.follower import flipped, following_anew, served_by, session, whose


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
