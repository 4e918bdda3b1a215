"""A refusal that the application catches inside a block on the twin: what was refused is undone alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, ClassVar

import psycopg
import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.transaction import TransactionManagementError
from psycopg import sql

from readonly_router import ReadOnlyError, disable_writes, enable_writes
from readonly_router.connections.twin import paired
from tests.example.shop.models import Product, Tag
from tests.http.pages.writes import HIDDEN, WRITES, ask, caught, names

# Since Django 6.1 under another name.
savepoint_create: Callable[[], Any] = getattr(transaction, "savepoint_create", transaction.savepoint)

# A server-side cursor is refused later than by its statement: as its rows are fetched.
FIRST = [pytest.param(write, id=name) for name, write in WRITES.items() if name != "server-side cursor"]


@pytest.fixture(autouse=True)
def read_only_shop(shop: None, checksum: Callable[[], str]) -> Iterator[None]:
    before = checksum()
    disable_writes()
    yield
    assert checksum() == before


@pytest.fixture
def debug_cursor() -> Iterator[None]:
    connection.force_debug_cursor = True
    yield
    connection.force_debug_cursor = False


def set_tenant() -> None:
    """Set what belongs to the transaction, on which row-level security may depend."""
    ask("SELECT set_config('shop.tenant', 'tea', true)")


def tenant() -> str:
    return str(ask("SELECT current_setting('shop.tenant', true)"))


def execute(statement: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("write", FIRST)
def test_a_block_reads_on_after_its_first_statement_was_refused(write: Callable[[], Any]) -> None:
    with transaction.atomic():
        caught(write)

        assert "organic" in names()


@pytest.mark.parametrize("name", [name for name in WRITES if name not in HIDDEN])
def test_a_block_goes_on_with_what_it_set_after_each_refusal(name: str) -> None:
    with transaction.atomic():
        set_tenant()
        for _ in range(2):
            caught(WRITES[name])
            with transaction.atomic():
                caught(WRITES[name])
                assert (tenant(), "organic" in names()) == ("tea", True)

        assert (tenant(), "organic" in names()) == ("tea", True)


@pytest.mark.parametrize("name", HIDDEN)
def test_a_block_is_over_after_a_write_that_its_first_word_does_not_tell(name: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        set_tenant()
        caught(WRITES[name])
        names()

    assert "organic" in names()


@pytest.mark.parametrize("name", WRITES)
def test_a_refusal_may_leave_a_nested_block(name: str) -> None:
    with transaction.atomic():
        set_tenant()
        with pytest.raises(ReadOnlyError), transaction.atomic():
            WRITES[name]()

        assert tenant() == "tea"


@pytest.mark.parametrize("write", [*FIRST, lambda: ask("SELECT 1 / 0")])
def test_an_error_may_leave_a_nested_block_after_a_refusal_in_the_outer_one(write: Callable[[], Any]) -> None:
    # Django makes no savepoint for it in a block that is marked for rollback.
    with transaction.atomic():
        set_tenant()
        caught(WRITES["save"])
        with pytest.raises(DatabaseError), transaction.atomic():
            write()

        assert tenant() == "tea"


@pytest.mark.parametrize(
    "statement",
    [
        sql.SQL("INSERT INTO {} (name) VALUES ('door')").format(sql.Identifier("shop_tag")),
        "/* it's a route */ -- and more\n INSERT INTO shop_tag (name) VALUES ('door')",
        b"INSERT INTO shop_tag (name) VALUES ('door')",
    ],
    ids=["composed", "with comments", "bytes"],
)
def test_a_block_goes_on_however_a_write_is_spelt(statement: Any) -> None:
    with transaction.atomic():
        set_tenant()
        caught(lambda: execute(statement))

        assert tenant() == "tea"


def test_a_comment_before_each_statement_leaves_djangos_savepoints_alone() -> None:
    def comment(run: Any, statement: str, *args: Any) -> Any:
        return run(f"/* route */ {statement}", *args)

    with connection.execute_wrapper(comment), transaction.atomic():
        set_tenant()
        with pytest.raises(ReadOnlyError), transaction.atomic():
            caught(WRITES["create"])
            WRITES["update"]()

        assert tenant() == "tea"


@pytest.mark.parametrize("name", ["save", "executemany", "copy", "stream", "callproc"])
def test_a_block_goes_on_with_the_debug_cursor(debug_cursor: None, name: str) -> None:
    with transaction.atomic():
        set_tenant()
        caught(WRITES[name])

        assert tenant() == "tea"


class Noting(CursorWrapper):
    """An engine's own cursor."""

    noted: ClassVar[list[str]] = []

    def execute(self, sql: Any, params: Any = None) -> Any:
        self.noted.append(sql)
        return super().execute(sql, params)


class Engine(DatabaseWrapper):
    def make_cursor(self, cursor: Any) -> Any:
        return Noting(cursor, self)


def test_a_block_goes_on_with_an_engines_own_cursor() -> None:
    twin = paired(Engine, twin=True)(connections.settings["readonly"], "readonly")
    twin.set_autocommit(False)
    with closing(twin), twin.cursor() as cursor:
        cursor.execute("SELECT set_config('shop.tenant', 'tea', true)")
        caught(lambda: cursor.execute("DELETE FROM shop_tag"))
        cursor.execute("SELECT current_setting('shop.tenant', true)")

        assert (cursor.fetchone(), Noting.noted[-2]) == (("tea",), "DELETE FROM shop_tag")


def test_savepoints_by_hand_are_there_after_a_refusal() -> None:
    with transaction.atomic():
        outer = savepoint_create()
        caught(WRITES["create"])
        with transaction.atomic():
            inner = savepoint_create()
            caught(WRITES["create"])
            transaction.savepoint_commit(inner)
        transaction.savepoint_rollback(outer)

        assert "organic" in names()


def test_a_transaction_without_a_block_reads_on() -> None:
    transaction.set_autocommit(False)
    try:
        for name in ("create", "nextval", "create"):
            caught(WRITES[name])
            assert "organic" in names()
            caught(WRITES["create"])
            assert "organic" in names()
            transaction.rollback()
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


def test_an_open_cursor_and_the_snapshot_of_a_block_stay(superuser: psycopg.Connection[Any]) -> None:
    seen = []
    with transaction.atomic():
        execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        before = names()
        superuser.execute("INSERT INTO shop_tag (name) VALUES ('meanwhile')")
        for tag in Tag.objects.iterator(chunk_size=1):
            seen.append(tag.name)
            caught(tag.save)
        after = names()
    superuser.execute("DELETE FROM shop_tag WHERE name = 'meanwhile'")
    superuser.execute("SELECT setval('shop_tag_id_seq', (SELECT max(id) FROM shop_tag))")

    assert before == seen == after


def test_no_statement_is_added_to_what_only_reads(superuser: psycopg.Connection[Any]) -> None:
    def last_statement() -> Any:
        return superuser.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()

    with transaction.atomic():
        pid = ask("SELECT pg_backend_pid()")
        assert last_statement() == ("SELECT pg_backend_pid()",)
        list(Product.objects.prefetch_related("tags"))
        assert "shop_product_tags" in str(last_statement())


# What is no refusal, and what Django makes of a block.


def test_another_error_ends_the_block_also_after_a_refusal() -> None:
    for refuse in (list, lambda: caught(WRITES["create"])):
        with transaction.atomic():
            refuse()
            with pytest.raises(DatabaseError), transaction.atomic(savepoint=False):
                ask("SELECT 1 / 0")

            with pytest.raises(TransactionManagementError):
                names()


@pytest.mark.parametrize("refuse", ["save", "set_rollback", "without a savepoint"])
def test_a_block_that_is_marked_reads_on_and_commits_nothing(refuse: str) -> None:
    # REST framework marks it in its handler of exceptions, a save that fails does so itself.
    done: list[str] = []
    with transaction.atomic():
        transaction.on_commit(lambda: done.append("charged"))
        if refuse == "without a savepoint":
            with pytest.raises(ReadOnlyError), transaction.atomic(savepoint=False):
                execute("DELETE FROM shop_tag")
        else:
            caught(WRITES["save"] if refuse == "save" else lambda: execute("DELETE FROM shop_tag"))
            transaction.set_rollback(transaction.get_rollback() or refuse == "set_rollback")
        assert "organic" in names()
        transaction.on_commit(lambda: done.append("mailed"))

    assert done == []


def test_only_the_block_that_a_refusal_left_commits_nothing() -> None:
    done: list[str] = []
    with transaction.atomic():
        transaction.on_commit(lambda: done.append("told"))
        with pytest.raises(ReadOnlyError), transaction.atomic():
            transaction.on_commit(lambda: done.append("mailed"))
            Tag.objects.create(name="door")

    assert done == ["told"]


def test_a_lost_connection_is_told_by_the_next_query(superuser: psycopg.Connection[Any]) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        pid = ask("SELECT pg_backend_pid()")
        caught(WRITES["create"])
        superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        names()

    assert "organic" in names()


def test_a_block_of_the_writer_is_over_as_ever() -> None:
    enable_writes()
    with transaction.atomic():
        execute("SET TRANSACTION READ ONLY")
        caught(WRITES["save"])

        with pytest.raises(TransactionManagementError):
            names()
