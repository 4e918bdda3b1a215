"""A session that the drain ended is replaced without an error: while it is idle, and as a statement is sent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from socket import AF_INET, SOCK_DGRAM, socket
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, connections, transaction
from django.db.backends.signals import connection_created

from readonly_router import ReadOnlyError, get_status, is_read_only
from readonly_router import connections as resolution
from readonly_router.http.refused import is_of_the_mode
from tests.example.shop.models import Product, Tag
from tests.harness.pairs import wait_for
from tests.switch.asked import COUNT, READS, WRITES
from tests.switch.follower import (
    NEVER,
    flipped,
    following_anew,
    met_on,
    off,
    on_at_once,
    served_by,
    session,
)


@pytest.fixture(autouse=True)
def follower(shop: None) -> Iterator[None]:
    with following_anew():
        yield


@contextmanager
def ended_as_it_is_sent() -> Iterator[None]:
    """Have the drain end the session after the last look at it, just before its next statement is sent."""
    ended: list[int] = []

    def end(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not ended:
            ended.append(on_at_once())
        return execute(sql, params, many, context)

    with connections["default"].execute_wrapper(end):
        yield
    assert ended == [1]


# -- while it is idle


@pytest.mark.parametrize("read", ["count", "server-side cursor", "block"])
def test_a_read_after_the_drain_is_served(read: str) -> None:
    READS[read]()
    assert on_at_once() == 1
    assert READS[read]() == COUNT


@pytest.mark.parametrize("write", ["create", "many", "block"])
def test_a_write_after_the_drain_is_refused_by_a_typed_error(write: str, checksum: Callable[[], str]) -> None:
    session()
    assert on_at_once() == 1
    before = checksum()
    with pytest.raises(ReadOnlyError, match="switched read-only"):
        WRITES[write]()
    assert checksum() == before


def test_a_session_that_an_administrator_ended_is_replaced_in_normal_mode(
    superuser: psycopg.Connection[Any],
) -> None:
    process = session().info.backend_pid
    superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [process])
    Tag.objects.create(name="on a new session")
    assert (served_by(), session().info.backend_pid != process) == ("default", True)


def test_a_twins_session_that_an_administrator_ended_is_replaced(superuser: psycopg.Connection[Any]) -> None:
    met_on()
    process = session().info.backend_pid
    superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [process])
    assert (served_by(), session().info.backend_pid != process) == ("readonly", True)


def test_a_session_that_ended_while_the_switch_was_on_and_off_again_is_replaced() -> None:
    session()
    on_at_once()
    off()
    Tag.objects.create(name="nothing happened")
    assert not is_read_only()


# -- as a statement is sent


@pytest.mark.parametrize("read", READS)
def test_a_read_on_its_way_is_served(read: str) -> None:
    with ended_as_it_is_sent():
        assert READS[read]() == COUNT


@pytest.mark.parametrize("write", WRITES)
def test_a_write_on_its_way_is_refused_by_a_typed_error(write: str) -> None:
    with ended_as_it_is_sent(), pytest.raises(ReadOnlyError, match="switched read-only"):
        WRITES[write]()


def test_a_read_on_its_way_is_served_however_recent_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "LOOK_SECONDS", NEVER)
    with ended_as_it_is_sent():
        assert Product.objects.count() == COUNT


@contextmanager
def reset_as_it_is_sent(before: Callable[[], object] = int) -> Iterator[None]:
    """Have the kernel tell of an error alone where it would tell of the session's end, as a reset may do.

    psycopg takes its session for busy ever after. Nobody listens where the statement is sent to.
    """
    begun = session()
    with socket(AF_INET, SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        nowhere = nobody.getsockname()

    def reset(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if connections["default"].connection is begun and not begun.closed:
            before()
            with socket(AF_INET, SOCK_DGRAM) as other:
                other.connect(nowhere)
                os.dup2(other.fileno(), begun.fileno())
        return execute(sql, params, many, context)

    with connections["default"].execute_wrapper(reset):
        yield
    assert begun.closed


@pytest.mark.parametrize("read", READS)
def test_a_read_whose_session_was_reset_is_served(read: str) -> None:
    with reset_as_it_is_sent(flipped):
        assert READS[read]() == COUNT


# Not several in a pipeline: the kernel tells of the error but once, and psycopg would wait for an answer.
@pytest.mark.parametrize("write", [name for name in WRITES if name != "many"])
def test_a_write_whose_session_was_reset_is_refused_by_a_typed_error(write: str) -> None:
    with reset_as_it_is_sent(flipped), pytest.raises(ReadOnlyError, match="switched read-only"):
        WRITES[write]()


def test_a_session_that_was_reset_in_normal_mode_is_replaced() -> None:
    with reset_as_it_is_sent(), pytest.raises(OperationalError, match="socket closed"):
        Product.objects.count()
    assert Product.objects.count() == COUNT


def test_a_function_called_on_its_way_is_served() -> None:
    with connection.cursor() as cursor:
        on_at_once()
        cursor.callproc("abs", [-COUNT])
        assert cursor.fetchone() == (COUNT,)


def test_the_refusal_of_a_write_on_its_way_tells_that_its_session_ended() -> None:
    with ended_as_it_is_sent(), pytest.raises(ReadOnlyError, match="look before you repeat it") as refusal:
        Tag.objects.create(name="refused")
    assert isinstance(refusal.value.__cause__, OperationalError)
    assert (refusal.value.uncertain, is_of_the_mode(refusal.value)) == (True, False)


def test_a_refusal_of_what_was_never_sent_is_certain() -> None:
    session()
    on_at_once()
    with pytest.raises(ReadOnlyError) as refusal:
        Tag.objects.create(name="refused")
    assert (refusal.value.uncertain, is_of_the_mode(refusal.value)) == (False, True)


def test_a_read_on_its_way_is_followed_by_reads_of_the_twin() -> None:
    with ended_as_it_is_sent():
        Product.objects.count()
    assert (served_by(), get_status().source) == ("readonly", "switch")


# -- within a block


def test_a_block_that_had_written_is_never_taken_up_on_another_session(
    superuser: psycopg.Connection[Any],
) -> None:
    with pytest.raises(OperationalError), transaction.atomic():
        Tag.objects.create(name="lost")
        superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [session().info.backend_pid])
        Tag.objects.create(name="never")
    assert not Tag.objects.filter(name__in=["lost", "never"]).exists()


def test_a_block_that_had_sent_nothing_writes_on_a_new_session_in_normal_mode(
    superuser: psycopg.Connection[Any],
) -> None:
    committed = []
    with transaction.atomic():
        transaction.on_commit(lambda: committed.append(True))
        superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [session().info.backend_pid])
        Tag.objects.create(name="kept")
    assert (Tag.objects.filter(name="kept").exists(), committed) == (True, [True])


def test_a_block_is_taken_up_again_where_the_next_session_is_ended_too(
    superuser: psycopg.Connection[Any],
) -> None:
    # As a pool's sessions from before the switch, which the drain ends one after the other.
    ended: list[int] = []

    def end(connection: Any, **_: Any) -> None:
        if connection.alias == "default" and len(ended) < 3:
            ended.append(connection.connection.info.backend_pid)
            superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [ended[-1]])

    session()
    connection_created.connect(end)
    try:
        with transaction.atomic():
            superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [session().info.backend_pid])
            counted = Product.objects.count()
    finally:
        connection_created.disconnect(end)
    assert (counted, len(set(ended))) == (COUNT, 3)


def test_a_block_that_no_session_takes_up_ends_with_an_error_and_leaves_nothing_behind(
    superuser: psycopg.Connection[Any],
) -> None:
    def end(connection: Any, **_: Any) -> None:
        superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [connection.connection.info.backend_pid])

    def meet() -> None:
        wait_for(lambda: served_by() == "readonly")
        connections.close_all()

    session()
    try:
        with pytest.raises(OperationalError), transaction.atomic():
            flipped()
            with ThreadPoolExecutor(1) as thread:
                thread.submit(meet).result()
            connection_created.connect(end)
            superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [session().info.backend_pid])
            Product.objects.count()
    finally:
        connection_created.disconnect(end)
    off()
    wait_for(lambda: served_by() == "default")
    Tag.objects.create(name="as ever")


def test_a_block_taken_up_on_another_session_is_rolled_back_as_a_whole(
    superuser: psycopg.Connection[Any],
) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [session().info.backend_pid])
        Tag.objects.create(name="undone")
        raise ZeroDivisionError
    assert not Tag.objects.filter(name="undone").exists()


def test_a_block_taken_up_on_another_session_has_savepoints(superuser: psycopg.Connection[Any]) -> None:
    with transaction.atomic():
        superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [session().info.backend_pid])
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            Tag.objects.create(name="undone")
            raise ZeroDivisionError
        Tag.objects.create(name="kept")
    assert [tag.name for tag in Tag.objects.filter(name__in=["undone", "kept"])] == ["kept"]


def test_a_block_whose_session_ended_after_on_reads_on_and_refuses_to_write() -> None:
    session()
    with transaction.atomic():
        on_at_once()
        counted = Product.objects.count()
        with pytest.raises(ReadOnlyError), transaction.atomic():
            Tag.objects.create(name="refused")
    assert (counted, served_by()) == (COUNT, "readonly")
