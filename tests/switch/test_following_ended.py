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
from django.db.backends.base.base import RAN_DB_VERSION_CHECK
from django.http import HttpResponse
from django.test import RequestFactory
from psycopg.sql import SQL, Identifier

from readonly_router import ReadOnlyError, SessionEndedError, get_status, is_read_only, mode
from readonly_router.connections import handler as resolution
from readonly_router.following import followers
from readonly_router.http.refused import is_of_the_mode
from readonly_router.middleware import ReadOnlyMiddleware
from tests.example.shop.models import Product, Tag
from tests.harness.pairs import wait_for
from tests.switch.asked import COUNT, READS, WRITES
from tests.switch.follower import (
    NEVER,
    end_idle,
    flipped,
    following_anew,
    login,
    met_on,
    off,
    on_at_once,
    served_by,
    session,
)

# By what each write sends first. A block within a block begins with a savepoint.
READ_FIRST = ("delete", "get_or_create", "locked rows", "block")
WRITTEN_FIRST = tuple(name for name in WRITES if name not in READ_FIRST)


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
    resolution.begin_request()
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


@pytest.mark.parametrize("write", WRITTEN_FIRST)
def test_a_write_on_its_way_is_told_by_the_drivers_own_error(write: str) -> None:
    with ended_as_it_is_sent(), pytest.raises(OperationalError) as told:
        WRITES[write]()
    assert isinstance(told.value.__cause__, psycopg.OperationalError)
    assert not is_of_the_mode(told.value)


@pytest.mark.parametrize("write", READ_FIRST)
def test_a_write_after_a_read_on_its_way_is_refused_by_a_typed_error(write: str) -> None:
    with ended_as_it_is_sent(), pytest.raises(ReadOnlyError, match="switched read-only"):
        WRITES[write]()


def test_a_read_on_its_way_that_the_twin_cannot_answer_is_told_by_the_drivers_own_error(
    superuser: psycopg.Connection[Any],
) -> None:
    superuser.execute("CREATE TABLE unreadable AS SELECT 1 AS one")
    superuser.execute(SQL("GRANT SELECT ON unreadable TO {}").format(Identifier(login("default"))))
    superuser.execute(SQL("REVOKE ALL ON unreadable FROM {}").format(Identifier(login("readonly"))))
    with ended_as_it_is_sent(), pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT one FROM unreadable")
    superuser.execute("DROP TABLE unreadable")


def test_a_read_on_its_way_is_served_however_recent_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers.of("default"), "look_seconds", NEVER)
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
@pytest.mark.parametrize("write", [name for name in WRITTEN_FIRST if name != "many"])
def test_a_write_whose_session_was_reset_is_told_by_the_drivers_own_error(write: str) -> None:
    with reset_as_it_is_sent(flipped), pytest.raises(OperationalError, match="socket closed"):
        WRITES[write]()


@pytest.mark.parametrize("write", READ_FIRST)
def test_a_write_after_a_read_whose_session_was_reset_is_refused_by_a_typed_error(write: str) -> None:
    with reset_as_it_is_sent(flipped), pytest.raises(ReadOnlyError, match="switched read-only"):
        WRITES[write]()


def test_a_session_that_was_reset_in_normal_mode_is_replaced() -> None:
    with reset_as_it_is_sent(), pytest.raises(OperationalError, match="socket closed"):
        Product.objects.count()
    resolution.begin_request()
    assert Product.objects.count() == COUNT


def test_a_function_called_on_its_way_is_told_by_the_drivers_own_error() -> None:
    with connection.cursor() as cursor:
        on_at_once()
        with pytest.raises(OperationalError) as told:
            cursor.callproc("abs", [-COUNT])
    assert isinstance(told.value.__cause__, psycopg.OperationalError)


def test_what_was_never_sent_is_refused_by_a_typed_error() -> None:
    session()
    on_at_once()
    with pytest.raises(ReadOnlyError) as refusal:
        Tag.objects.create(name="refused")
    assert is_of_the_mode(refusal.value)


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


def test_a_block_whose_first_read_was_sent_again_stays_on_the_twin_to_its_end() -> None:
    session()
    with transaction.atomic():
        on_at_once()
        counted = Product.objects.count()
        off()
        with connection.cursor() as cursor:
            cursor.execute("SELECT session_user, current_setting('transaction_read_only')")
            served = cursor.fetchone()
    assert (counted, served) == (COUNT, (login("readonly"), "on"))
    wait_for(lambda: served_by() == "default")
    Tag.objects.create(name="as ever")


@pytest.mark.parametrize("task", [Product.objects.count, lambda: Tag.objects.create(name="lost")])
def test_a_block_that_had_sent_nothing_meets_the_error_in_normal_mode(
    superuser: psycopg.Connection[Any], task: Callable[[], Any]
) -> None:
    with pytest.raises(OperationalError), transaction.atomic():
        superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [session().info.backend_pid])
        task()
    assert not Tag.objects.filter(name="lost").exists()


# -- in use


def test_a_session_that_ended_in_use_as_the_switch_moved_is_told_once_by_a_typed_error() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = elsewhere, public")
    flipped()
    end_idle()
    with pytest.raises(SessionEndedError, match="what was set on it is gone"):
        Product.objects.count()
    assert (Product.objects.count(), served_by()) == (COUNT, "readonly")


def test_a_request_meets_it_at_each_statement() -> None:
    with pinned():
        Product.objects.count()
        flipped()
        end_idle()
        for _ in range(2):
            with pytest.raises(SessionEndedError):
                Tag.objects.create(name="elsewhere")
    resolution.begin_request()
    assert Product.objects.count() == COUNT


@pytest.mark.parametrize("error", [SessionEndedError.of("moved", alias="default"), OperationalError("killed")])
def test_the_middleware_answers_it_with_503_and_no_other_end_of_a_session(error: OperationalError) -> None:
    request = RequestFactory().get("/")
    response = ReadOnlyMiddleware(lambda _: HttpResponse()).process_exception(request, error)
    assert (response and response.status_code) == (503 if isinstance(error, SessionEndedError) else None)


def test_a_session_that_somebody_ended_in_use_is_not_replaced(superuser: psycopg.Connection[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = elsewhere, public")
    superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [session().info.backend_pid])
    for _ in range(2):
        with pytest.raises(OperationalError) as told:
            Tag.objects.create(name="elsewhere")
        assert not isinstance(told.value, SessionEndedError)
    connections["default"].close_if_unusable_or_obsolete()
    assert not Tag.objects.filter(name="elsewhere").exists()


@contextmanager
def pinned() -> Iterator[None]:
    """Be in a request that began in the mode as it is."""
    token = mode.pin(["default"])
    try:
        yield
    finally:
        mode.unpin(token)


def test_a_block_whose_session_ended_after_on_reads_on_and_refuses_to_write() -> None:
    session()
    with transaction.atomic():
        on_at_once()
        counted = Product.objects.count()
        with pytest.raises(ReadOnlyError), transaction.atomic():
            Tag.objects.create(name="refused")
    assert (counted, served_by()) == (COUNT, "readonly")


def test_a_session_without_autocommit_is_not_replaced_by_one_with_it(superuser: psycopg.Connection[Any]) -> None:
    process = session().info.backend_pid
    resolution.begin_request()
    transaction.set_autocommit(False)
    try:
        superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [process])
        with pytest.raises(OperationalError):
            Tag.objects.create(name="to be rolled back")
    finally:
        connection.close()
    assert superuser.execute("SELECT FROM shop_tag WHERE name = 'to be rolled back'").fetchall() == []


def test_a_read_is_not_sent_again_into_a_block_of_the_twins_own() -> None:
    asked = "SELECT now(), current_setting('transaction_isolation')"
    with transaction.atomic(using="readonly"), connections["readonly"].cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute(asked)
        before = cursor.fetchone()
        with connection.cursor() as other:
            flipped()
            end_idle()
            with pytest.raises(OperationalError):
                other.execute("SELECT 1")
        cursor.execute(asked)
        assert cursor.fetchone() == before


def test_a_block_of_the_twins_own_after_the_window_is_not_the_aliass() -> None:
    met_on()
    off()

    def learn() -> None:
        wait_for(lambda: served_by() == "default")
        connections.close_all()

    with ThreadPoolExecutor(1) as other:
        other.submit(learn).result()
    with transaction.atomic(using="readonly"):
        assert Product.objects.using("readonly").count() == COUNT
        Tag.objects.create(name="written")
        assert Product.objects.using("readonly").count() == COUNT


def test_a_twins_first_session_is_whole_although_an_error_is_owed(superuser: psycopg.Connection[Any]) -> None:
    twin = Identifier(login("readonly"))
    superuser.execute(SQL("ALTER ROLE {} RESET default_transaction_read_only").format(twin))
    RAN_DB_VERSION_CHECK.discard("readonly")
    with connection.cursor() as cursor:
        cursor.execute("SET work_mem = '9MB'")
    flipped()
    end_idle()
    try:
        with pytest.raises(SessionEndedError):
            Product.objects.count()
        served = session()
        assert (served.info.parameter_status("default_transaction_read_only"), served_by()) == ("on", "readonly")
    finally:
        superuser.execute(SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(twin))
