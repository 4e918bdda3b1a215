"""What a site asks of its database: reads that must be served, and writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection, transaction

from tests.example.shop.content import PRODUCTS
from tests.example.shop.models import Product, Tag

COUNT = len(PRODUCTS)


def streamed() -> int:
    return len(list(Product.objects.iterator(chunk_size=5)))


def in_block(task: Callable[[], Any]) -> Callable[[], Any]:
    """Do a task as the first of a block, and in a block within it."""

    def done() -> Any:
        with transaction.atomic(), transaction.atomic():
            return task()

    return done


def inserted() -> None:
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO shop_tag (name) VALUES (%s)", [("refused",), ("too",)])


READS: dict[str, Callable[[], Any]] = {
    "count": Product.objects.count,
    "list": lambda: len(list(Product.objects.all())),
    "by the writer's alias": lambda: Product.objects.using("default").count(),
    "related rows": lambda: len(list(Product.objects.prefetch_related("tags").select_related("category"))),
    "server-side cursor": streamed,
    "block": in_block(Product.objects.count),
    "server-side cursor in a block": in_block(streamed),
}
WRITES: dict[str, Callable[[], Any]] = {
    "create": lambda: Tag.objects.create(name="refused"),
    "bulk_create": lambda: Tag.objects.bulk_create([Tag(name="refused"), Tag(name="too")]),
    "update": lambda: Product.objects.update(stock=0),
    "delete": lambda: Tag.objects.all().delete(),
    "get_or_create": lambda: Tag.objects.get_or_create(name="refused"),
    "locked rows": in_block(lambda: list(Product.objects.select_for_update())),
    "many": inserted,
    "block": in_block(lambda: Tag.objects.create(name="refused")),
}
