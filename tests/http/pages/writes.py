"""Writes of every kind to try inside a block, and what asks for the rest of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from readonly_router import ReadOnlyError
from tests.example.shop.models import Order, Product, Tag


def ask(query: str) -> Any:
    with connection.cursor() as cursor:
        return cursor.execute(query).fetchone()[0]


def names() -> list[str]:
    return list(Tag.objects.values_list("name", flat=True))


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
    "a function that writes": lambda: (
        ask("SELECT pg_catalog.lo_unlink(pg_catalog.lo_create(0))")
        if connection.pg_version >= 160000
        else ask("SELECT nextval('shop_invoice_number')")
    ),
    "a query that changes data": lambda: ask("WITH gone AS (DELETE FROM shop_tag RETURNING id) TABLE gone"),
    "copy": _copy,
    "executemany": _execute_many,
    "stream": _stream,
    "callproc": _call_procedure,
    "server-side cursor": _server_side,
}


# Their first word does not tell that they write.
HIDDEN = [
    "select_for_update",
    "nextval",
    "a function that writes",
    "a query that changes data",
    "server-side cursor",
]


def caught(write: Callable[[], Any]) -> None:
    with pytest.raises(ReadOnlyError):
        write()
