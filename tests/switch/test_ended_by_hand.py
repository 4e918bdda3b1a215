"""A session that a DBA ends with a statement on its way: the error arrives, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, connections, transaction
from psycopg.sql import SQL, Identifier

from readonly_router import ReadOnlyError, SessionEndedError
from readonly_router.mark import MARKED
from tests.database import entry
from tests.example.shop.models import Tag
from tests.harness.pairs import wait_for
from tests.switch.follower import end_idle, flipped, following_anew, login, met_on, off, session

ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
COUNTED = "SELECT nextval('counted'), pg_sleep(30)"


@pytest.fixture(autouse=True)
def follower(shop: None, superuser: psycopg.Connection[Any]) -> Iterator[None]:
    superuser.execute("CREATE SEQUENCE counted")
    superuser.execute(SQL("GRANT USAGE ON SEQUENCE counted TO {}").format(Identifier(login("default"))))
    try:
        with following_anew():
            yield
    finally:
        superuser.execute("DROP SEQUENCE counted")


def first(query: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()


def second(query: str) -> Any:
    first("SELECT 1")
    return first(query)


def many(query: str) -> Any:
    with connection.cursor() as cursor:
        cursor.executemany(f"{query} WHERE %s", [[True], [True]])


def by_a_servers_cursor(query: str) -> Any:
    with connection.chunked_cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()


def within(task: Callable[[str], Any]) -> Callable[[str], Any]:
    def done(query: str) -> Any:
        with transaction.atomic():
            return task(query)

    return done


FIRST: dict[str, Callable[[str], Any]] = {
    "first": first,
    "server-side cursor": by_a_servers_cursor,
    "first of a block": within(first),
}
LATER: dict[str, Callable[[str], Any]] = {
    "second": second,
    "second of a block": within(second),
    "after a savepoint": within(within(first)),
    "rows of a server-side cursor": within(by_a_servers_cursor),
    "executemany": many,
    "executemany in a block": within(many),
}
IN_USE = {"second", "second of a block", "after a savepoint"}


@contextmanager
def ended_on_its_way(superuser: psycopg.Connection[Any], between: Callable[[], object] = int) -> Iterator[None]:
    """End the session that serves the alias as it sleeps; what happens `between` comes just before."""
    process = session().info.backend_pid

    def end() -> None:
        wait_for(lambda: superuser.execute(ASLEEP, [process]).fetchone() == (1,))
        between()
        superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [process])

    with ThreadPoolExecutor(1) as dba:
        job = dba.submit(end)
        yield
        job.result()


def calls(superuser: psycopg.Connection[Any]) -> int:
    row = superuser.execute("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM counted").fetchone()
    return int(row[0]) if row else 0


@pytest.fixture
def timeout(superuser: psycopg.Connection[Any]) -> Iterator[Callable[[], object]]:
    """A function by which a DBA gives the role another setting."""
    role = [Identifier(login("default")), Identifier(superuser.info.dbname)]
    change = "ALTER ROLE {} IN DATABASE {} "
    yield lambda: superuser.execute(SQL(change + "SET statement_timeout = 600000").format(*role))  # type: ignore[arg-type]  # of two literals
    superuser.execute(SQL(change + "RESET statement_timeout").format(*role))  # type: ignore[arg-type]  # of two literals


@pytest.mark.parametrize("way", FIRST | LATER)
def test_in_normal_mode_the_error_arrives(superuser: psycopg.Connection[Any], way: str) -> None:
    with ended_on_its_way(superuser), pytest.raises(OperationalError):
        (FIRST | LATER)[way](COUNTED)
    assert calls(superuser) == 1


@pytest.mark.parametrize("way", FIRST | LATER)
def test_in_read_only_mode_the_error_arrives(superuser: psycopg.Connection[Any], way: str) -> None:
    met_on()
    connections["readonly"].close()
    with ended_on_its_way(superuser), pytest.raises(OperationalError) as told:
        (FIRST | LATER)[way]("SELECT pg_sleep(30)")
    assert not isinstance(told.value, SessionEndedError)


@pytest.mark.parametrize("way", FIRST | LATER)
def test_where_the_role_got_another_setting_meanwhile_the_error_arrives(
    superuser: psycopg.Connection[Any], way: str, timeout: Callable[[], object]
) -> None:
    with ended_on_its_way(superuser, timeout), pytest.raises(OperationalError):
        (FIRST | LATER)[way](COUNTED)
    assert calls(superuser) == 1


@pytest.mark.parametrize("way", FIRST)
def test_where_the_switch_was_thrown_meanwhile_the_twin_answers(
    superuser: psycopg.Connection[Any], way: str
) -> None:
    asked = f"SELECT session_user, pg_sleep(CASE session_user WHEN '{login('default')}' THEN 30 ELSE 0 END)"
    with ended_on_its_way(superuser, flipped):
        found = FIRST[way](asked)
    assert found[0] == login("readonly")


@pytest.mark.parametrize("way", FIRST | LATER)
def test_where_the_switch_was_thrown_meanwhile_nothing_is_done_twice(
    superuser: psycopg.Connection[Any], way: str
) -> None:
    with ended_on_its_way(superuser, flipped), pytest.raises(OperationalError) as told:
        (FIRST | LATER)[way](COUNTED)
    assert (calls(superuser), isinstance(told.value, ReadOnlyError)) == (1, False)
    assert isinstance(told.value, SessionEndedError) == (way in IN_USE)


def test_off_counts_as_much(superuser: psycopg.Connection[Any]) -> None:
    met_on()
    connections["readonly"].close()
    is_on = f"SELECT count(*) FROM pg_db_role_setting WHERE setconfig && ARRAY{MARKED}"
    asked = f"SELECT session_user, pg_sleep(30 * ({is_on}))"
    with ended_on_its_way(superuser, off):
        found = first(asked)
    assert found[0] == login("readonly")


def test_several_statements_in_one_text_are_never_sent_again(superuser: psycopg.Connection[Any]) -> None:
    with ended_on_its_way(superuser, flipped), pytest.raises(OperationalError):
        first("SELECT 1; SELECT pg_sleep(30)")


@pytest.mark.parametrize("text", ["BEGIN", "COMMIT", "SET search_path = elsewhere"])
def test_what_reads_nothing_is_never_sent_again(text: str) -> None:
    session()
    with connection.cursor() as cursor:
        flipped()
        assert end_idle() == 1
        with pytest.raises(OperationalError):
            cursor.execute(text)
    assert not connections["readonly"].in_atomic_block


def test_a_pooled_session_is_no_other(superuser: psycopg.Connection[Any]) -> None:
    connections.close_all()
    with entry("default", OPTIONS={"pool": {"min_size": 1, "max_size": 2}}):
        try:
            with ended_on_its_way(superuser), pytest.raises(OperationalError):
                first(COUNTED)
            connection.close()
            Tag.objects.create(name="on another session")
        finally:
            connections.close_all()
            connections["default"].close_pool()
    assert calls(superuser) == 1
