"""What belongs to a transaction is there after a refusal in it: settings, cursors, its snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from psycopg import sql

from readonly_router import ReadOnlyError, disable_writes
from tests.example.shop.models import Tag
from tests.http.pages.writes import WRITES, ask, caught, names, server_side


@pytest.fixture(autouse=True)
def read_only_shop(shop: None, checksum: Callable[[], str]) -> Iterator[None]:
    before = checksum()
    disable_writes()
    yield
    assert checksum() == before


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


@pytest.mark.parametrize(
    "setting",
    [
        "SELECT set_config('shop.tenant', 'tea', true)",
        "/* whose */ SET LOCAL search_path = pg_catalog",
        "SELECT pg_catalog.pg_try_advisory_xact_lock(1)",
    ],
)
def test_a_block_that_set_something_is_over_after_a_write_that_nothing_foretold(setting: str) -> None:
    # As without us: in another transaction it would go on without what it set.
    with pytest.raises(DatabaseError), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(setting)
        caught(server_side)
        ask("SELECT 1")


def test_a_block_that_only_read_goes_on_after_a_write_that_nothing_foretold() -> None:
    with transaction.atomic():
        ask("SELECT 1")
        caught(server_side)

        assert ask("SELECT 1") == 1


@pytest.mark.parametrize(
    "statement",
    [
        sql.SQL("INSERT INTO {} (name) VALUES ('door')").format(sql.Identifier("shop_tag")),
        "/* route */ INSERT INTO shop_tag (name) VALUES ('door')",
        b"INSERT INTO shop_tag (name) VALUES ('door')",
    ],
    ids=["composed", "with a comment", "bytes"],
)
def test_what_a_block_set_is_kept_however_a_write_is_spelt(statement: Any) -> None:
    def write() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    with transaction.atomic():
        ask("SELECT set_config('shop.tenant', 'tea', true)")
        caught(write)

        assert ask("SELECT current_setting('shop.tenant', true)") == "tea"


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
