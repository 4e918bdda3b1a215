"""Writing through the switch: a session is made writable for the block or the shell, and closed at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection, connections, transaction

from readonly_router import ModeError, ReadOnlyError, advisory, disable_writes, enable_writes, mode, writable
from readonly_router.following import followers
from readonly_router.mark import WRITABLE_LOCK
from readonly_router.switch import catalog
from tests.example.shop.models import Product, Tag
from tests.switch.follower import NEVER, following_anew, met_on, off, on_at_once, served_by, session


@pytest.fixture(autouse=True)
def follower(shop: None) -> Iterator[None]:
    with following_anew():
        yield
        mode.set_process(None)


@contextmanager
def writes_enabled() -> Iterator[None]:
    enable_writes()
    try:
        yield
    finally:
        disable_writes()


Way = Callable[[], AbstractContextManager[None]]
WAYS: dict[str, Way] = {"writable": writable, "enable_writes": writes_enabled}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


def open_to_write(superuser: psycopg.Connection[Any]) -> int:
    """Count the sessions that write through the switch, as PostgreSQL says."""
    return len(catalog.writing_through(superuser))


def test_a_write_through_the_switch_lands(way: Way) -> None:
    met_on()
    with way():
        Tag.objects.create(name="through")
    assert Tag.objects.filter(name="through").exists()


def test_blocks_and_cursors_write_through_the_switch(way: Way) -> None:
    met_on()
    with way(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO shop_tag (name) VALUES ('through')")
    assert Tag.objects.filter(name="through").exists()


def test_a_session_that_writes_through_the_switch_is_known_to_the_drain(
    way: Way, superuser: psycopg.Connection[Any]
) -> None:
    met_on()
    with way():
        Product.objects.count()
        assert open_to_write(superuser) == 1


def test_a_session_that_wrote_through_the_switch_is_closed_at_the_end(
    way: Way, superuser: psycopg.Connection[Any]
) -> None:
    met_on()
    with way():
        Tag.objects.create(name="through")
        process = session().info.backend_pid
    superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [process])  # waits until it is gone
    assert (connections.own("default").connection, open_to_write(superuser)) == (None, 0)


def test_after_writing_through_the_switch_the_process_is_read_only(way: Way) -> None:
    met_on()
    with way():
        Tag.objects.create(name="through")
    disabled = way is writes_enabled
    assert (served_by(), mode.get_status().source) == ("readonly", "process" if disabled else "switch")
    with pytest.raises(ReadOnlyError):
        Tag.objects.create(name="refused")


def test_an_inner_block_leaves_the_session_to_the_outer_one() -> None:
    met_on()
    with writable():
        Product.objects.count()
        process = session().info.backend_pid
        with writable():
            Tag.objects.create(name="through")
        assert session().info.backend_pid == process


def test_a_session_that_began_read_only_does_not_stand_in_the_way(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_at_once()
    monkeypatch.setattr(followers.of("default"), "look_seconds", NEVER)
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1")
    with way():
        Tag.objects.create(name="through")


def test_a_write_through_the_switch_within_a_block_of_reads_is_its_own() -> None:
    met_on()
    with transaction.atomic():
        Product.objects.count()
        with writable():
            Tag.objects.create(name="through")
        transaction.set_rollback(True)
    assert Tag.objects.filter(name="through").exists()


def test_nothing_is_opened_for_writing_while_the_switch_is_being_thrown(
    way: Way, superuser: psycopg.Connection[Any]
) -> None:
    met_on()
    assert advisory.try_lock(superuser, WRITABLE_LOCK)
    try:
        with pytest.raises(ModeError, match="being switched"), way():
            Tag.objects.create(name="refused")
    finally:
        advisory.unlock(superuser, WRITABLE_LOCK)


def test_in_normal_mode_nothing_is_opened_for_writing_and_the_session_stays(
    way: Way, superuser: psycopg.Connection[Any]
) -> None:
    process = session().info.backend_pid
    with way():
        Tag.objects.create(name="as always")
        assert (session().info.backend_pid, open_to_write(superuser)) == (process, 0)


def test_a_session_opened_for_writing_writes_on_after_off() -> None:
    met_on()
    with writable():
        Tag.objects.create(name="before off")
        off()
        Tag.objects.create(name="after off")
    assert Tag.objects.filter(name__endswith=" off").count() == 2
