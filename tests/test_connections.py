"""Where an alias leads, and that an open transaction keeps its connection to its end."""

from __future__ import annotations

import pickle
import threading
import time

import psycopg
import pytest
from django.db import DatabaseError, close_old_connections, connection, connections, transaction
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.utils import ProgrammingError
from django.test import override_settings

from readonly_router import (
    ConfigurationError,
    ModeError,
    ReadOnlyError,
    disable_writes,
    enable_writes,
    mode,
    read_only,
    writable,
)
from readonly_router.conf import ProcessMode
from readonly_router.connections.handler import PairedConnectionHandler, install, open_transactions, resolve
from tests.database import entry, forget
from tests.example.shop.models import Tag

pytestmark = pytest.mark.usefixtures("shop")


def user_of(alias: str = "default") -> str:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_user")
        return str(cursor.fetchone()[0])


def twin() -> str:
    return str(connections.settings["readonly"]["USER"])


def writer() -> str:
    return str(connections.settings["default"]["USER"])


def test_the_handler_is_ours_and_installing_it_again_changes_nothing() -> None:
    before = connections["default"]
    install()
    assert isinstance(connections, PairedConnectionHandler)
    assert connections["default"] is before


def test_in_read_only_mode_the_writers_alias_is_the_twins_connection() -> None:
    with read_only():
        assert connections["default"] is connections["readonly"]
        assert (user_of(), user_of("readonly")) == (twin(), twin())


def test_in_normal_mode_the_writers_alias_is_its_own() -> None:
    assert user_of() == writer()


def test_a_held_reference_to_the_default_connection_follows() -> None:
    with read_only(), connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == (twin(),)


def test_in_normal_mode_nothing_connects_as_the_twin() -> None:
    forget("readonly")
    Tag.objects.create(name="nothing connects")
    list(Tag.objects.all())
    connections.close_all()
    assert [wrapper.alias for wrapper in connections.all(initialized_only=True)] == ["default"]


def test_an_unknown_alias_is_djangos_error() -> None:
    with pytest.raises(connections.exception_class, match="nowhere"):
        connections["nowhere"]


def test_a_routed_row_lock_in_an_atomic_block_on_default_is_refused_by_postgres() -> None:
    with read_only(), pytest.raises(ReadOnlyError) as refusal, transaction.atomic():
        list(Tag.objects.select_for_update())
    assert refusal.value.sqlstate in {"25006", "42501"}


def test_an_atomic_block_on_default_and_the_orm_share_one_snapshot() -> None:
    with read_only(), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_snapshot()::text, pg_backend_pid()")
            raw = cursor.fetchone()
        assert Tag.objects.using("readonly").raw("SELECT 1 AS id, pg_backend_pid() AS pid")[0].pid == raw[1]


def test_an_open_atomic_block_on_the_writer_keeps_it_when_the_process_turns_read_only() -> None:
    with transaction.atomic():
        Tag.objects.create(name="before")
        mode.set_process(ProcessMode.READ_ONLY)
        Tag.objects.create(name="after")
        assert user_of() == writer()
    assert resolve("default") == "readonly"
    assert Tag.objects.filter(name__in=["before", "after"]).count() == 2


def test_an_open_atomic_block_on_the_twin_keeps_it_when_the_process_turns_writable() -> None:
    mode.set_process(ProcessMode.READ_ONLY)
    with pytest.raises(ReadOnlyError), transaction.atomic():
        mode.set_process(ProcessMode.WRITABLE)
        assert user_of() == twin()
        Tag.objects.create(name="lost")
    assert user_of() == writer()


def test_a_nested_atomic_block_belongs_to_the_outer_ones_connection() -> None:
    with transaction.atomic():
        mode.set_process(ProcessMode.READ_ONLY)
        with transaction.atomic():
            assert user_of() == writer()
    assert user_of() == twin()


def test_a_manual_transaction_keeps_its_connection_until_it_ends() -> None:
    transaction.set_autocommit(False)
    try:
        Tag.objects.create(name="manual")
        mode.set_process(ProcessMode.READ_ONLY)
        assert user_of() == writer()
        transaction.commit()
        assert resolve("default") == "readonly"
    finally:
        connections.real("default").set_autocommit(True)


def test_a_block_whose_connection_broke_lets_go_of_the_alias() -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        connections.real("default").connection.close()
        Tag.objects.create(name="never")
    mode.set_process(ProcessMode.READ_ONLY)
    assert user_of() == twin()


def test_a_block_on_the_twins_own_alias_in_normal_mode_does_not_move_the_writers() -> None:
    with transaction.atomic(using="readonly"):
        Tag.objects.create(name="written")
        assert user_of() == writer()


def test_an_open_block_does_not_move_another_threads_alias() -> None:
    users: list[str] = []

    def in_thread() -> None:
        users.append(user_of())
        connections.close_all()

    with transaction.atomic():
        Tag.objects.create(name="before")
        mode.set_process(ProcessMode.READ_ONLY)
        thread = threading.Thread(target=in_thread)
        thread.start()
        thread.join()
    assert users == [twin()]


def test_entering_read_only_inside_a_writable_block_raises() -> None:
    with transaction.atomic(), pytest.raises(ModeError, match="TransactionTestCase"), read_only():
        pass


def test_entering_read_only_inside_a_read_only_block_is_allowed() -> None:
    with read_only(), transaction.atomic(), read_only():
        assert user_of() == twin()


def test_writable_inside_a_read_only_block_opens_its_own_transaction_on_the_writer() -> None:
    with read_only(), transaction.atomic():
        before = Tag.objects.count()
        with writable(), transaction.atomic():
            Tag.objects.create(name="own transaction")
            assert user_of() == writer()
        assert user_of() == twin()
        assert Tag.objects.count() == before + 1
    assert Tag.objects.filter(name="own transaction").exists()


@pytest.mark.parametrize("verb", [enable_writes, disable_writes])
@pytest.mark.parametrize("process", [ProcessMode.FOLLOW, ProcessMode.READ_ONLY])
def test_the_process_does_not_change_inside_a_transaction(verb: object, process: ProcessMode) -> None:
    mode.set_process(process)
    with transaction.atomic():
        assert open_transactions() == ["default"]
        with pytest.raises(ModeError, match="open transaction"):
            verb()  # type: ignore[operator]
    assert open_transactions() == []


def test_housekeeping_sees_the_real_connections_and_leaks_none(superuser: psycopg.Connection) -> None:
    user_of()
    with read_only():
        user_of()
        connections.close_all()
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename IN (%s, %s) AND datname = current_database()"
    deadline = time.monotonic() + 10
    while superuser.execute(sessions, [writer(), twin()]).fetchone() != (0,):
        assert time.monotonic() < deadline


def test_old_connections_of_both_are_closed_at_the_end_of_a_request() -> None:
    user_of()
    with read_only():
        user_of()
        for wrapper in connections.all(initialized_only=True):
            wrapper.close_at = 0
        close_old_connections()
    assert [wrapper.connection for wrapper in connections.all(initialized_only=True)] == [None, None]


def test_a_twin_that_is_the_writer_itself_is_refused_before_it_is_used() -> None:
    with entry("readonly", USER=writer()), read_only(), pytest.raises(ConfigurationError, match="itself"):
        user_of()


def test_a_twin_of_another_vendor_is_refused_before_it_is_used() -> None:
    sqlite = entry("readonly", ENGINE="django.db.backends.sqlite3")
    with sqlite, read_only(), pytest.raises(ConfigurationError, match="psycopg 3"):
        user_of()


def test_a_twin_that_is_missing_fails_and_never_leads_to_the_writer() -> None:
    with override_settings(READONLY_ROUTER_PAIRS={"default": "absent"}), read_only():
        with pytest.raises(connections.exception_class, match="absent"):
            user_of()


@pytest.mark.parametrize(
    "pairs", [[], {}, ["default"], {"default": 1}, {"default": "a", "other": "a"}, {"a": "b", "b": "c"}]
)
def test_pairs_that_are_none_are_an_error(pairs: object) -> None:
    with read_only(), override_settings(READONLY_ROUTER_PAIRS=pairs):
        with pytest.raises(ConfigurationError, match="PAIRS"):
            connections["default"]


def test_a_refusal_is_typed_and_keeps_its_facts() -> None:
    with read_only(), pytest.raises(ReadOnlyError) as refusal:
        Tag.objects.create(name="refused")
    error = refusal.value
    assert isinstance(error, DatabaseError)
    assert (error.alias, error.sqlstate) == ("readonly", "25006")
    assert isinstance(error.__cause__, psycopg.errors.ReadOnlySqlTransaction)
    assert "writable()" in str(error)


def test_a_missing_privilege_on_the_twin_is_a_refusal() -> None:
    with read_only(), pytest.raises(ReadOnlyError) as refusal, connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
        cursor.execute("DELETE FROM shop_tag")
    assert (refusal.value.sqlstate, "create_readonly_role --check" in str(refusal.value)) == ("42501", True)


def test_a_missing_privilege_on_the_writer_is_a_bug_and_stays_djangos_error() -> None:
    with pytest.raises(ProgrammingError) as error, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM pg_authid")
    assert not isinstance(error.value, ReadOnlyError)


def test_a_read_only_transaction_on_the_writer_is_a_refusal() -> None:
    with pytest.raises(ReadOnlyError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        Tag.objects.create(name="refused")
    assert (refusal.value.alias, refusal.value.sqlstate) == ("default", "25006")


def test_the_twin_asked_for_by_name_in_normal_mode_names_the_writer() -> None:
    with pytest.raises(ReadOnlyError, match="write through 'default'"):
        Tag.objects.using("readonly").create(name="refused")


def test_another_error_on_the_twin_stays_what_it_was() -> None:
    with read_only(), pytest.raises(ProgrammingError) as error, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM nowhere")
    assert not isinstance(error.value, ReadOnlyError)


def test_a_refused_copy_is_typed() -> None:
    with read_only(), connection.cursor() as cursor, pytest.raises(ReadOnlyError):
        with cursor.copy("COPY shop_tag (name) FROM STDIN") as copy:
            copy.write_row(["refused"])


def test_a_refused_stream_is_typed() -> None:
    with read_only(), connection.cursor() as cursor, pytest.raises(ReadOnlyError):
        list(cursor.stream("INSERT INTO shop_tag (name) VALUES ('refused') RETURNING id"))


def test_a_copy_out_and_a_stream_work_on_both_connections() -> None:
    def rows() -> tuple[int, int]:
        with connection.cursor() as cursor:
            streamed = len(list(cursor.stream("SELECT name FROM shop_tag")))
            with cursor.copy("COPY shop_tag (name) TO STDOUT") as copy:
                return streamed, len(list(copy.rows()))

    with read_only():
        read = rows()
    assert read == rows()


def test_a_refused_copy_is_typed_with_the_debug_cursor() -> None:
    with read_only():
        connection.force_debug_cursor = True
        try:
            with connection.cursor() as cursor, pytest.raises(ReadOnlyError):
                with cursor.copy("COPY shop_tag (name) FROM STDIN") as copy:
                    copy.write_row(["refused"])
        finally:
            connection.force_debug_cursor = False
            connection.queries_log.clear()


def test_a_refusal_survives_pickling() -> None:
    with read_only(), pytest.raises(ReadOnlyError) as refusal:
        Tag.objects.create(name="refused")
    again = pickle.loads(pickle.dumps(refusal.value))
    assert (again.alias, again.sqlstate, str(again)) == ("readonly", "25006", str(refusal.value))


@pytest.mark.parametrize("alias", ["default", "readonly"])
def test_a_wrapper_has_its_engines_name(alias: str) -> None:
    kind = type(connections[alias])
    assert (kind.__module__, kind.__qualname__) == (DatabaseWrapper.__module__, DatabaseWrapper.__qualname__)
    assert repr(connections[alias]) == f"<DatabaseWrapper vendor='postgresql' alias='{alias}'>"


def test_an_error_of_copy_or_stream_that_is_no_refusal_stays_psycopgs() -> None:
    """Django hands both out as they are."""
    with connection.cursor() as cursor:
        with pytest.raises(psycopg.DataError), cursor.copy("COPY shop_tag (id, name) FROM STDIN") as copy:
            copy.write_row(["no number", "x"])
        with pytest.raises(psycopg.errors.DivisionByZero):
            list(cursor.stream("SELECT 1 / 0"))
        with pytest.raises(psycopg.IntegrityError), cursor.copy("COPY shop_tag TO STDOUT"):
            raise psycopg.IntegrityError("another connection's")


def test_a_wrapper_that_was_made_while_its_alias_was_in_no_pair_joins_it() -> None:
    forget("default")
    with override_settings(READONLY_ROUTER_PAIRS={"other": "others_twin"}):
        kept = connections["default"]
        kept.ensure_connection()
    assert Tag.objects.exists()
    with read_only():
        assert connections["default"] is not kept
        with pytest.raises(ReadOnlyError):
            kept.cursor()
