"""`off` ends the sessions that began read-only: what a pooler hands them just then is served or told truly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connections

from readonly_router import is_read_only, mode
from tests.example.shop.models import Tag
from tests.switch.asked import COUNT, READS, WRITES
from tests.switch.follower import following_anew, met_on, off, served_by, session, wait_until_writable


@pytest.fixture(autouse=True)
def follower(shop: None) -> Iterator[None]:
    with following_anew():
        yield


@pytest.fixture
def opened() -> None:
    """A process that has just met the end of a switch."""
    met_on()
    off()
    wait_until_writable()


@contextmanager
def ended_as_it_is_sent(superuser: psycopg.Connection[Any]) -> Iterator[None]:
    """Have the session end after the last look at it, just before its next statement is sent."""
    process = session().info.backend_pid

    def end(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [process])
        return execute(sql, params, many, context)

    with connections["default"].execute_wrapper(end):
        yield


@pytest.mark.parametrize("read", READS)
def test_a_read_is_served(opened: None, superuser: psycopg.Connection[Any], read: str) -> None:
    with ended_as_it_is_sent(superuser):
        assert READS[read]() == COUNT


def test_it_is_served_by_the_twin_which_is_left_again(opened: None, superuser: psycopg.Connection[Any]) -> None:
    with ended_as_it_is_sent(superuser):
        assert served_by() == "readonly"
    assert (served_by(), is_read_only(), connections.real("readonly").connection) == ("default", False, None)


# In no block, neither the site's nor Django's.
ALONE = ("create", "update", "many")


@pytest.mark.parametrize("write", ALONE)
def test_a_write_fails_as_it_would_without_us_and_is_not_repeated(
    opened: None, superuser: psycopg.Connection[Any], write: str, checksum: Callable[[], str]
) -> None:
    before = checksum()
    with ended_as_it_is_sent(superuser), pytest.raises(OperationalError, match=r"terminating|server closed"):
        WRITES[write]()
    assert checksum() == before
    Tag.objects.create(name="on a new session")


@pytest.mark.parametrize("write", [name for name in WRITES if name not in ALONE])
def test_a_block_that_had_sent_nothing_goes_on(
    opened: None, superuser: psycopg.Connection[Any], write: str
) -> None:
    with ended_as_it_is_sent(superuser):
        WRITES[write]()
    assert (served_by(), connections["default"].in_atomic_block) == ("default", False)


def test_later_a_session_that_ends_is_an_error(
    opened: None, superuser: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ends a query means it."""
    monkeypatch.setattr(mode, "OPENED_SECONDS", 0.0)
    with ended_as_it_is_sent(superuser), pytest.raises(OperationalError, match="terminating connection"):
        READS["count"]()


def test_a_session_that_ends_where_no_switch_was_on_is_an_error(superuser: psycopg.Connection[Any]) -> None:
    with ended_as_it_is_sent(superuser), pytest.raises(OperationalError, match="terminating connection"):
        READS["count"]()
