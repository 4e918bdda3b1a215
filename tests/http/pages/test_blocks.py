"""A refusal that the application catches inside a block on the twin: the block goes on as if nothing had been tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, InternalError, connection, transaction
from django.db.transaction import TransactionManagementError

from readonly_router import ReadOnlyError, disable_writes, enable_writes
from tests.example.shop.models import Category, Daily, Order, Product, Tag


@pytest.fixture(autouse=True)
def read_only_shop(shop: None, checksum: Callable[[], str]) -> Iterator[None]:
    before = checksum()
    disable_writes()
    yield
    assert checksum() == before


def ask(query: str) -> Any:
    with connection.cursor() as cursor:
        return cursor.execute(query).fetchone()[0]


def names() -> list[str]:
    return list(Tag.objects.values_list("name", flat=True))


WRITES: dict[str, Callable[[], Any]] = {
    "create": lambda: Tag.objects.create(name="door"),
    # Marks the block for rollback: with several tables Django opens a block without a savepoint.
    "save": lambda: Tag(name="door").save(),
    "save of a row": lambda: Tag.objects.get(name="organic").save(),
    "get_or_create": lambda: Tag.objects.get_or_create(name="door"),
    "update_or_create": lambda: Tag.objects.update_or_create(name="organic"),
    "delete that cascades": lambda: Order.objects.first().delete(),  # type: ignore[union-attr]  # there is one
    "bulk_create": lambda: Tag.objects.bulk_create([Tag(name="door"), Tag(name="gate")]),
    "update": lambda: Product.objects.update(stock=0),
    "many to many": lambda: Product.objects.first().tags.set([]),  # type: ignore[union-attr]  # there is one
    "select_for_update": lambda: list(Tag.objects.select_for_update()),
    "nextval": lambda: ask("SELECT nextval('shop_invoice_number')"),
    "a function that writes": lambda: ask("SELECT pg_catalog.lo_unlink(pg_catalog.lo_create(0))")
    if connection.pg_version >= 160000
    else ask("SELECT nextval('shop_invoice_number')"),
    "copy": lambda: _copy(),
    "executemany": lambda: _execute_many(),
    "stream": lambda: _stream(),
    "callproc": lambda: _call_procedure(),
    "server-side cursor": lambda: _server_side(),
}


def _copy() -> None:
    with connection.cursor() as cursor, cursor.copy("COPY shop_tag (name) FROM STDIN") as copy:
        copy.write_row(["door"])


def _execute_many() -> None:
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO shop_tag (name) VALUES (%s)", [("door",), ("gate",)])


def _call_procedure() -> None:
    with connection.cursor() as cursor:
        cursor.callproc("nextval", ["shop_invoice_number"])


def _stream() -> None:
    with connection.cursor() as cursor:
        list(cursor.stream("INSERT INTO shop_tag (name) VALUES ('door') RETURNING id"))


def _server_side() -> None:
    with connection.chunked_cursor() as cursor:
        cursor.execute("SELECT nextval('shop_invoice_number') FROM shop_tag")
        list(cursor)


def caught(write: Callable[[], Any]) -> None:
    with pytest.raises(ReadOnlyError):
        write()


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
def test_a_block_reads_on_after_a_refusal_it_caught(write: Callable[[], Any]) -> None:
    with transaction.atomic():
        caught(write)

        assert "organic" in names()


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
def test_a_block_reads_on_after_a_refusal_in_the_middle_of_it(write: Callable[[], Any]) -> None:
    with transaction.atomic():
        before = names()
        caught(write)

        assert names() == before


# Its cursor would be gone with the savepoint, and psycopg could not close it: that block is lost, as ever.
RENEWED = {name: write for name, write in WRITES.items() if name != "server-side cursor"}


@pytest.mark.parametrize("write", RENEWED.values(), ids=list(RENEWED))
def test_a_nested_block_reads_on(write: Callable[[], Any]) -> None:
    with transaction.atomic():
        with transaction.atomic():
            caught(write)

            assert "organic" in names()
        assert "organic" in names()


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
def test_a_refusal_may_leave_a_nested_block(write: Callable[[], Any]) -> None:
    with transaction.atomic():
        with pytest.raises(ReadOnlyError), transaction.atomic():
            assert names()
            write()

        assert "organic" in names()


def test_a_refusal_may_leave_a_block_that_is_no_savepoint() -> None:
    with transaction.atomic():
        with pytest.raises(ReadOnlyError), transaction.atomic(savepoint=False):
            Tag.objects.create(name="door")

        assert "organic" in names()


def test_each_of_many_refusals_is_caught() -> None:
    refused = 0
    with transaction.atomic():
        for tag in Tag.objects.all():
            try:
                tag.save()
            except ReadOnlyError:
                refused += 1

    assert refused == Tag.objects.count() > 1


def test_a_manual_savepoint_is_there_after_a_refusal() -> None:
    with transaction.atomic():
        savepoint = transaction.savepoint()
        caught(WRITES["create"])
        transaction.savepoint_rollback(savepoint)
        caught(WRITES["create"])
        transaction.savepoint_commit(savepoint)

        assert "organic" in names()


def test_savepoints_within_savepoints_are_there_after_a_refusal() -> None:
    with transaction.atomic():
        outer = transaction.savepoint()
        with transaction.atomic():
            inner = transaction.savepoint()
            caught(WRITES["nextval"])
            caught(WRITES["a function that writes"])
            transaction.savepoint_commit(inner)
        transaction.savepoint_rollback(outer)

        assert "organic" in names()


# What belongs to the transaction is there after the refusal.


# Nothing tells beforehand that these write.
UNFORESEEN = ["a function that writes", "server-side cursor"]


@pytest.mark.parametrize("name", [name for name in WRITES if name not in UNFORESEEN])
def test_what_the_transaction_set_for_itself_stays(name: str) -> None:
    # A tenant or a role, on which row-level security may depend.
    with transaction.atomic():
        ask("SELECT set_config('shop.tenant', 'tea', true)")
        caught(WRITES[name])

        assert ask("SELECT current_setting('shop.tenant', true)") == "tea"


@pytest.mark.parametrize("name", WRITES)
def test_what_the_transaction_set_before_a_savepoint_stays(name: str) -> None:
    with transaction.atomic():
        ask("SELECT set_config('shop.tenant', 'tea', true)")
        with pytest.raises(ReadOnlyError), transaction.atomic():
            WRITES[name]()

        assert ask("SELECT current_setting('shop.tenant', true)") == "tea"


def test_a_write_that_nothing_foretold_begins_the_transaction_anew() -> None:
    # A limit: what the transaction had set for itself is gone with it.
    with transaction.atomic():
        ask("SELECT set_config('shop.tenant', 'tea', true)")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_catalog.pg_try_advisory_xact_lock(1)")
        caught(_server_side)

        assert ask("SELECT current_setting('shop.tenant', true)") == ""


def test_an_open_cursor_of_the_block_goes_on() -> None:
    seen = []
    with transaction.atomic():
        for tag in Tag.objects.order_by("name").iterator(chunk_size=1):
            seen.append(tag.name)
            caught(tag.save)

    assert seen == names()


def test_a_repeatable_read_keeps_its_snapshot(superuser: psycopg.Connection[Any]) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        before = names()
        superuser.execute("INSERT INTO shop_tag (name) VALUES ('meanwhile')")
        caught(WRITES["create"])
        after = names()
    superuser.execute("DELETE FROM shop_tag WHERE name = 'meanwhile'")
    superuser.execute("SELECT setval('shop_tag_id_seq', (SELECT max(id) FROM shop_tag))")

    assert after == before


# What is no refusal, or no longer the block's to forgive.


def test_another_error_still_poisons_the_block() -> None:
    with transaction.atomic():
        with pytest.raises(DatabaseError):
            ask("SELECT 1 / 0")

        with pytest.raises((TransactionManagementError, InternalError)):
            names()
        transaction.set_rollback(True)


def test_another_error_after_a_refusal_still_poisons_the_block() -> None:
    with transaction.atomic():
        caught(WRITES["create"])
        with pytest.raises(DatabaseError), transaction.atomic(savepoint=False):
            ask("SELECT 1 / 0")

        with pytest.raises(TransactionManagementError):
            names()


def test_an_error_of_the_applications_own_still_ends_a_block_without_a_savepoint() -> None:
    with transaction.atomic():
        with pytest.raises(ValueError, match="own"), transaction.atomic(savepoint=False):
            caught(WRITES["create"])
            raise ValueError("own")

        with pytest.raises(TransactionManagementError):
            names()


def test_a_block_that_asks_for_its_rollback_gets_it() -> None:
    # REST framework does so in its handler of exceptions.
    done: list[str] = []
    with transaction.atomic():
        transaction.on_commit(lambda: done.append("mailed"))
        try:
            Tag.objects.create(name="door")
        except ReadOnlyError:
            transaction.set_rollback(True)

    assert done == []


def test_what_was_to_happen_on_commit_happens_after_a_refusal_that_was_caught() -> None:
    done: list[str] = []
    with transaction.atomic():
        transaction.on_commit(lambda: done.append("told"))
        caught(WRITES["create"])

    assert done == ["told"]


def test_what_a_refused_block_put_off_until_commit_is_dropped() -> None:
    done: list[str] = []
    with transaction.atomic():
        with pytest.raises(ReadOnlyError), transaction.atomic():
            transaction.on_commit(lambda: done.append("mailed"))
            Tag.objects.create(name="door")

    assert done == []


def test_a_lost_connection_is_told_by_the_next_query(superuser: psycopg.Connection[Any]) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        pid = ask("SELECT pg_backend_pid()")
        caught(WRITES["create"])
        superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        names()

    assert "organic" in names()


# Blocks without atomic(), and the writer's.


def test_a_transaction_without_a_block_reads_on() -> None:
    transaction.set_autocommit(False)
    try:
        assert names()
        caught(WRITES["create"])
        assert "organic" in names()
        savepoint = transaction.savepoint()
        caught(WRITES["create"])
        transaction.rollback()
        caught(WRITES["nextval"])
        assert "organic" in names()
        assert savepoint
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


def test_no_statement_is_added_to_what_only_reads() -> None:
    connection.force_debug_cursor = True
    try:
        with transaction.atomic():
            names()
            before = ask("SELECT pg_backend_pid()")
            list(Product.objects.select_related("category").prefetch_related("tags"))
            list(Daily.objects.all())
            assert Category.objects.filter(slug="tea").exists()
            assert ask("SELECT pg_backend_pid()") == before
            assert not any("readonly_router_kept" in query["sql"] for query in connection.queries)
    finally:
        connection.force_debug_cursor = False


def test_a_block_of_the_writer_is_poisoned_as_ever() -> None:
    enable_writes()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        with pytest.raises(ReadOnlyError):
            Tag(name="door").save()

        with pytest.raises(TransactionManagementError):
            names()
