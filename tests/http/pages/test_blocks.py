"""A refusal that the application catches inside a block on the twin: the block goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, InternalError, connection, transaction
from django.db.transaction import TransactionManagementError

from readonly_router import ReadOnlyError, disable_writes, enable_writes
from tests.example.shop.models import Category, Daily, Product, Tag
from tests.http.pages.writes import WRITES, ask, caught, names

# Since Django 6.1 under another name.
savepoint_create: Callable[[], Any] = getattr(transaction, "savepoint_create", transaction.savepoint)


@pytest.fixture(autouse=True)
def read_only_shop(shop: None, checksum: Callable[[], str]) -> Iterator[None]:
    before = checksum()
    disable_writes()
    yield
    assert checksum() == before


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
    with transaction.atomic():
        for tag in Tag.objects.all():
            caught(tag.save)

        assert "organic" in names()


def test_a_manual_savepoint_is_there_after_a_refusal() -> None:
    with transaction.atomic():
        savepoint = savepoint_create()
        caught(WRITES["create"])
        transaction.savepoint_rollback(savepoint)
        caught(WRITES["create"])
        transaction.savepoint_commit(savepoint)

        assert "organic" in names()


def test_savepoints_within_savepoints_are_there_after_a_refusal() -> None:
    with transaction.atomic():
        outer = savepoint_create()
        with transaction.atomic():
            inner = savepoint_create()
            caught(WRITES["nextval"])
            caught(WRITES["a function that writes"])
            transaction.savepoint_commit(inner)
        transaction.savepoint_rollback(outer)

        assert "organic" in names()


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


def test_what_was_to_happen_on_commit_is_dropped_where_django_would_roll_back() -> None:
    # A save that fails marks the block: whoever catches it there and goes on has nothing committed.
    done: list[str] = []
    with transaction.atomic():
        transaction.on_commit(lambda: done.append("charged"))
        caught(WRITES["create"])
        transaction.on_commit(lambda: done.append("mailed"))

    assert done == []


def test_what_was_to_happen_on_commit_happens_after_a_refusal_in_a_block_of_its_own() -> None:
    done: list[str] = []
    with transaction.atomic():
        transaction.on_commit(lambda: done.append("told"))
        with pytest.raises(ReadOnlyError), transaction.atomic():
            Tag.objects.create(name="door")

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
        savepoint = savepoint_create()
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
