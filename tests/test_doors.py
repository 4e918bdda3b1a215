"""Every door, tried in this process in both ways of being read-only: refused by PostgreSQL, data unchanged."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import caches
from django.db import ProgrammingError, connection, connections, transaction

from readonly_router import ModeError, ReadOnlyError, disable_writes, read_only, writable
from tests.doors import INSERT, QUIET, RAW, READS, REFUSED, SESSION_KEY, Door, Outcome, attempt, furnish
from tests.example.shop.models import Tag

REFUSALS = {"25006", "42501"}
EXPIRED = "expired"


@pytest.fixture
def unchanged(checksum: Callable[[], str]) -> Iterator[None]:
    """The test finds the shop furnished, and leaves every row, sequence and relation as it was."""
    furnish()
    before = checksum()
    yield
    assert checksum() == before


@pytest.fixture(params=["scope", "process"])
def read_only_mode(request: pytest.FixtureRequest, unchanged: None) -> Iterator[None]:
    """Both ways to be read-only that a running process has."""
    if request.param == "scope":
        with read_only():
            yield
    else:
        disable_writes()
        yield


def outcomes(doors: dict[str, Door]) -> dict[str, Outcome]:
    return {name: attempt(door) for name, door in doors.items()}


def test_every_door_through_django_is_refused_as_one_typed_error(read_only_mode: None) -> None:
    tried = outcomes(REFUSED)

    assert {name: outcome for name, outcome in tried.items() if not is_typed_refusal(outcome)} == {}


def test_every_door_under_django_is_refused_by_psycopg(read_only_mode: None) -> None:
    tried = outcomes(RAW)

    assert {name: outcome for name, outcome in tried.items() if outcome.sqlstate not in REFUSALS} == {}


def test_a_door_that_raises_nothing_changes_nothing(read_only_mode: None) -> None:
    tried = outcomes(QUIET)

    assert {name: outcome for name, outcome in tried.items() if outcome.raised} == {}


def test_every_read_works_as_before(read_only_mode: None) -> None:
    tried = outcomes(READS)

    assert {name: outcome for name, outcome in tried.items() if outcome.raised} == {}


def test_every_read_works_in_normal_mode(unchanged: None) -> None:
    tried = outcomes(READS)

    assert {name: outcome for name, outcome in tried.items() if outcome.raised} == {}


def is_typed_refusal(outcome: Outcome) -> bool:
    return (
        outcome.raised == "ReadOnlyError"
        and outcome.is_database_error
        and outcome.sqlstate in REFUSALS
        and outcome.alias == "readonly"
        and (outcome.cause_module, outcome.cause_sqlstate) == ("psycopg.errors", outcome.sqlstate)
    )


def test_saving_a_stored_session_is_refused_as_djangos_update_error(read_only_mode: None) -> None:
    # SessionStore.save() takes every DatabaseError of an update for a session deleted meanwhile.
    session = SessionStore(SESSION_KEY)
    session["door"] = "open"

    with pytest.raises(UpdateError) as caught:
        session.save()

    assert isinstance(caught.value.__context__, ReadOnlyError)


def test_reading_an_expired_cache_row_is_refused(read_only_mode: None) -> None:
    # DatabaseCache deletes what it finds expired: a read that writes.
    with pytest.raises(ReadOnlyError):
        caches["db"].get(EXPIRED)


def test_the_refused_connection_serves_the_next_read(read_only_mode: None) -> None:
    with pytest.raises(ReadOnlyError):
        Tag.objects.create(name="door")

    assert Tag.objects.filter(name="organic").exists()


def test_a_refusal_survives_pickling(read_only_mode: None) -> None:
    with pytest.raises(ReadOnlyError) as caught:
        Tag.objects.create(name="door")

    copied = pickle.loads(pickle.dumps(caught.value))

    assert (str(copied), copied.sqlstate, copied.alias) == (str(caught.value), "25006", "readonly")


def test_every_connection_of_the_mode_logs_in_as_the_twin(read_only_mode: None) -> None:
    with connections["default"].cursor() as named, connection.cursor() as default:
        users = {cursor.execute("SELECT current_user").fetchone()[0] for cursor in (named, default)}

    assert users == {connections.settings["readonly"]["USER"]}


# Doors that lead past the alias: through wrappers of the writer itself.


def test_a_wrapper_made_by_create_connection_does_not_write(read_only_mode: None) -> None:
    with closing(connections.create_connection("default")) as made, pytest.raises(ReadOnlyError):
        execute(made, INSERT)


def test_a_wrapper_made_by_create_connection_does_not_log_in_as_the_writer(read_only_mode: None) -> None:
    with closing(connections.create_connection("default")) as made, pytest.raises(ReadOnlyError):
        made.ensure_connection()


def test_a_wrapper_made_by_create_connection_does_not_connect(read_only_mode: None) -> None:
    with closing(connections.create_connection("default")) as made, pytest.raises(ReadOnlyError):
        made.ensure_connection()


def test_no_wrapper_of_connections_all_writes(read_only_mode: None) -> None:
    for wrapper in connections.all():
        with pytest.raises(ReadOnlyError):
            execute(wrapper, INSERT)


def test_a_wrapper_kept_from_normal_mode_does_not_write(unchanged: None) -> None:
    kept = connections["default"]

    with read_only(), pytest.raises(ReadOnlyError):
        execute(kept, INSERT)


def execute(wrapper: Any, statement: str) -> None:
    with wrapper.cursor() as cursor:
        cursor.execute(statement)


def test_a_cursor_opened_before_the_scope_keeps_its_connection(unchanged: None) -> None:
    # A limit, told in the README: what is open already stays where it is.
    with connection.cursor() as kept, read_only():
        user = kept.execute("SELECT current_user").fetchone()[0]

    assert user == connections.settings["default"]["USER"]


def test_a_copy_of_a_wrapper_does_not_lose_the_open_transaction(unchanged: None) -> None:
    # The copy connects, and so leaves and enters autocommit under the same alias.
    with transaction.atomic():
        with closing(connections["default"].copy()) as copied:
            copied.ensure_connection()

        with pytest.raises(ModeError), read_only():
            pass


def test_a_transaction_of_a_copy_does_not_hold_the_alias(unchanged: None) -> None:
    disable_writes()
    with writable():
        copied = connections["default"].copy()
        copied.set_autocommit(False)
        copied.connection.execute("SELECT 1")
    with closing(copied):
        with pytest.raises(ReadOnlyError):
            Tag.objects.create(name="door")


@pytest.mark.parametrize("alias", ["default", "readonly"])
def test_a_cursor_without_a_database_is_refused(read_only_mode: None, alias: str) -> None:
    with pytest.raises(ReadOnlyError), connections[alias]._nodb_cursor() as cursor:
        cursor.execute("CREATE DATABASE a_door_into_the_server")


def test_a_cursor_without_a_database_is_refused_on_the_twin_in_normal_mode(unchanged: None) -> None:
    with pytest.raises(ReadOnlyError), connections["readonly"]._nodb_cursor() as cursor:
        cursor.execute("CREATE DATABASE a_door_into_the_server")


# Threads.


def _in_thread(door: Door) -> list[Any]:
    outcomes: list[Any] = []

    def work() -> None:
        try:
            outcomes.append(attempt(door))
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return outcomes


def test_the_process_mode_reaches_threads(unchanged: None) -> None:
    disable_writes()

    (outcome,) = _in_thread(lambda: Tag.objects.create(name="door"))

    assert outcome.raised == "ReadOnlyError"


def test_the_process_mode_reaches_the_threads_of_a_pool(unchanged: None) -> None:
    disable_writes()

    def write() -> Any:
        try:
            return attempt(REFUSED["cursor: execute"])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=2) as pool:
        outcomes = [future.result() for future in [pool.submit(write) for _ in range(4)]]

    assert {outcome.raised for outcome in outcomes} == {"ReadOnlyError"}


def test_the_process_mode_reaches_threads_that_were_running(unchanged: None) -> None:
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(Tag.objects.count).result()
        disable_writes()
        outcome = pool.submit(attempt, lambda: Tag.objects.create(name="door")).result()
        pool.submit(connections.close_all).result()

    assert outcome.raised == "ReadOnlyError"


def test_a_scope_does_not_reach_a_thread_started_by_hand(unchanged: None) -> None:
    # A limit of contextvars, told in the README: the thread begins in the process's mode.
    def user() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            found.append(cursor.execute("SELECT current_user").fetchone()[0])

    found: list[str] = []
    with read_only():
        _in_thread(user)

    assert found == [connections.settings["default"]["USER"]]


# What is a refusal, and what is not.


@pytest.fixture
def without_insert(superuser: psycopg.Connection[Any]) -> Iterator[None]:
    """The writer may not insert tags: a permission bug of the site."""
    writer = psycopg.sql.Identifier(connections.settings["default"]["USER"])
    superuser.execute(psycopg.sql.SQL("REVOKE INSERT ON shop_tag FROM {}").format(writer))
    yield
    superuser.execute(psycopg.sql.SQL("GRANT INSERT ON shop_tag TO {}").format(writer))


def test_a_missing_privilege_of_the_writer_stays_djangos_error(unchanged: None, without_insert: None) -> None:
    with pytest.raises(ProgrammingError) as caught:
        Tag.objects.create(name="door")

    assert not isinstance(caught.value, ReadOnlyError)
    assert isinstance(caught.value.__cause__, psycopg.errors.InsufficientPrivilege)


def test_a_missing_privilege_inside_writable_stays_djangos_error(unchanged: None, without_insert: None) -> None:
    disable_writes()

    with writable(), pytest.raises(ProgrammingError) as caught:
        Tag.objects.create(name="door")

    assert not isinstance(caught.value, ReadOnlyError)


def test_a_read_only_transaction_of_the_writer_is_refused_as_the_same_error(unchanged: None) -> None:
    with pytest.raises(ReadOnlyError) as caught, transaction.atomic():
        execute(connection, f"SET TRANSACTION READ ONLY; {INSERT}")

    assert (caught.value.alias, caught.value.sqlstate) == ("default", "25006")


def test_another_error_of_the_twin_stays_djangos(read_only_mode: None) -> None:
    with pytest.raises(ProgrammingError), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM no_such_table")


@pytest.fixture
def late_writer(superuser: psycopg.Connection[Any]) -> Iterator[None]:
    """A trigger function that writes; `shop_late` fires it when the transaction commits."""
    superuser.execute(
        f"""CREATE FUNCTION late_write() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN {INSERT}; RETURN NULL; END $$"""
    )
    yield
    superuser.execute("DROP FUNCTION late_write CASCADE")


LATE = """SET TRANSACTION READ WRITE;
CREATE TEMP TABLE late (n int) ON COMMIT DROP;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION late_write();
INSERT INTO late VALUES (1)"""


def test_a_refusal_at_commit_is_typed(late_writer: None, unchanged: None) -> None:
    def commit() -> None:
        with transaction.atomic():
            connection.cursor().execute(LATE)

    with read_only():
        outcome = attempt(commit)

    assert (outcome.raised, outcome.sqlstate, outcome.alias) == ("ReadOnlyError", "42501", "readonly")


def test_a_refusal_at_a_manual_commit_is_typed(late_writer: None, unchanged: None) -> None:
    def commit() -> None:
        connection.set_autocommit(False)
        try:
            connection.cursor().execute(LATE)
            connection.commit()
        finally:
            connection.rollback()
            connection.set_autocommit(True)

    with read_only():
        outcome = attempt(commit)

    assert (outcome.raised, outcome.sqlstate) == ("ReadOnlyError", "42501")


def test_a_door_opens_again_in_normal_mode(checksum: Callable[[], str]) -> None:
    before = checksum()
    with read_only(), pytest.raises(ReadOnlyError):
        Tag.objects.create(name="door")

    Tag.objects.create(name="door")

    assert checksum() != before
