"""No statement runs a second time where it could land twice, or be taken for done though it was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import Error, OperationalError, connection, connections, transaction

from readonly_router import ReadOnlyError, is_read_only
from tests.example.shop.models import Tag
from tests.harness.pairs import wait_for
from tests.switch.follower import (
    flipped,
    following_anew,
    met_on,
    off,
    on_at_once,
    served_by,
    session,
    wait_until_writable,
)

MANY = 3000


@pytest.fixture(autouse=True)
def follower(shop: None) -> Iterator[None]:
    with following_anew():
        yield


def end(superuser: psycopg.Connection[Any]) -> None:
    """End this thread's session of the writer."""
    superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [session().info.backend_pid])


def found(name: str) -> int:
    return Tag.objects.filter(name=name).count()


@pytest.mark.parametrize("at", [1, MANY // 2, MANY - 1])
def test_what_a_generator_yielded_is_not_left_out(superuser: psycopg.Connection[Any], at: int) -> None:
    def rows() -> Iterator[tuple[str]]:
        for number in range(MANY):
            if number == at:
                end(superuser)
            yield (f"row {number}",)

    with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany("INSERT INTO shop_tag (name) VALUES (%s)", rows())
    assert Tag.objects.filter(name__startswith="row").count() == 0


def test_several_statements_in_one_text_are_sent_once(superuser: psycopg.Connection[Any]) -> None:
    """A COMMIT among them made what came before it last."""
    asleep = "SELECT pid FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"

    def end_asleep(process: int) -> None:
        wait_for(lambda: superuser.execute(asleep, [process]).fetchone() is not None)
        superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [process])

    with ThreadPoolExecutor(1) as thread:
        thread.submit(end_asleep, session().info.backend_pid)
        with pytest.raises(OperationalError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("INSERT INTO shop_tag (name) VALUES ('once'); COMMIT; SELECT pg_sleep(60)")
    assert found("once") == 1


@pytest.mark.parametrize("before", [int, flipped], ids=["normal mode", "switched"])
def test_a_commit_by_hand_is_not_taken_for_done(
    superuser: psycopg.Connection[Any], before: Callable[[], object]
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO shop_tag (name) VALUES ('by hand')")
        end(superuser)
        before()
        with pytest.raises(OperationalError):
            cursor.execute("COMMIT")
    connection.close()
    assert found("by hand") == 0


def test_a_transaction_by_hand_goes_on_where_it_began(superuser: psycopg.Connection[Any]) -> None:
    """The drain waits for it; another thread meets the switch meanwhile."""

    def meet() -> None:
        wait_for(lambda: served_by() == "readonly")
        connections.close_all()

    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO shop_tag (name) VALUES ('by hand')")
    flipped()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(meet).result()
    assert is_read_only()
    with connection.cursor() as cursor:
        cursor.execute("COMMIT")
    assert (served_by(), found("by hand")) == ("readonly", 1)


def test_a_cursor_of_the_twins_own_is_never_the_writers() -> None:
    with connections["readonly"].cursor() as cursor:
        cursor.execute("SELECT 1")
        connections["readonly"].close()
        with pytest.raises(ReadOnlyError):
            cursor.execute("INSERT INTO shop_tag (name) VALUES ('escalated')")
        cursor.execute("SELECT 1")
    assert found("escalated") == 0


def test_a_kept_cursor_of_the_writers_alias_writes_again_after_the_window() -> None:
    met_on()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        off()
        wait_until_writable()
        cursor.execute("INSERT INTO shop_tag (name) VALUES ('kept')")
    assert found("kept") == 1


def test_a_twins_session_that_somebody_ended_is_an_error_in_its_block(superuser: psycopg.Connection[Any]) -> None:
    """No switch ends one: whoever did means it."""
    on_at_once()
    wait_for(lambda: served_by() == "readonly")
    twin: Any = connections["readonly"]

    def end_twin(execute: Any, *query: Any) -> Any:
        superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [twin.connection.info.backend_pid])
        return execute(*query)

    with pytest.raises(OperationalError), twin.execute_wrapper(end_twin), transaction.atomic():
        Tag.objects.count()
    assert (served_by(), twin.in_atomic_block) == ("readonly", False)
