"""Every kind of write, tried in one process of the site: `python -m tests.demo.attempts` answers in JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

REFUSED, FORBIDDEN = "25006", "42501"


def attempts() -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Yield what would be typed, the SQLSTATE expected, and the deed."""
    yield from _by_orm()
    yield from _by_cursor()
    yield from _by_framework()
    yield from _by_switching_off()


def _by_orm() -> Iterator[tuple[str, str, Callable[[], Any]]]:
    from django.db import transaction

    from tests.example.shop.models import Order, Product, Tag

    product = Product.objects.earliest("pk")
    product.stock += 1

    def lock() -> None:
        with transaction.atomic():
            Product.objects.select_for_update().earliest("pk")

    yield "product.save()", REFUSED, product.save
    yield "Tag.objects.create(...)", REFUSED, lambda: Tag.objects.create(name="new tag")
    yield "Tag.objects.bulk_create([...])", REFUSED, lambda: Tag.objects.bulk_create([Tag(name="new tag")])
    yield "Product.objects.update(...)", REFUSED, lambda: Product.objects.update(stock=0)
    yield "Order.objects.all().delete()", REFUSED, lambda: Order.objects.all().delete()
    yield "product.tags.clear()", REFUSED, product.tags.clear
    yield "Tag.objects.get_or_create(...)", REFUSED, lambda: Tag.objects.get_or_create(name="new tag")
    yield '.using("default").create(...)', REFUSED, lambda: Tag.objects.using("default").create(name="new tag")
    yield "await Tag.objects.acreate(...)", REFUSED, lambda: asyncio.run(_acreate(Tag))
    yield "the same in a thread", REFUSED, lambda: _in_thread(lambda: Tag.objects.create(name="new tag"))
    yield "select_for_update() in atomic()", REFUSED, lock


async def _acreate(model: Any) -> None:
    await model.objects.acreate(name="new tag")


def _in_thread(deed: Callable[[], Any]) -> None:
    """Do it in another thread, and raise here what it raised there."""
    met: list[Exception] = []

    def run() -> None:
        from django.db import connections

        try:
            deed()
        except Exception as error:  # noqa: BLE001 - handed over, whatever it is
            met.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in met:
        raise error


def _by_cursor() -> Iterator[tuple[str, str, Callable[[], Any]]]:
    from django.db import connection

    def copy() -> None:
        with connection.cursor() as cursor, cursor.copy("COPY shop_tag (name) FROM STDIN") as rows:
            rows.write_row(["new tag"])

    insert = "INSERT INTO shop_tag (name) VALUES ('new tag')"
    yield "cursor.execute('INSERT ...')", REFUSED, lambda: _execute(insert)
    yield "psycopg's own connection: INSERT", REFUSED, lambda: connection.connection.execute(insert)
    # PostgreSQL looks at these two privileges before it looks at the transaction.
    yield "COPY shop_tag FROM STDIN", FORBIDDEN, copy
    yield "SELECT nextval(...)", FORBIDDEN, lambda: _execute("SELECT nextval('shop_invoice_number')")
    yield "TRUNCATE shop_order CASCADE", REFUSED, lambda: _execute("TRUNCATE shop_order CASCADE")
    yield "CREATE TABLE ...", REFUSED, lambda: _execute("CREATE TABLE shop_new (id int)")
    yield "DROP TABLE shop_tag CASCADE", REFUSED, lambda: _execute("DROP TABLE shop_tag CASCADE")
    yield (
        "REFRESH MATERIALIZED VIEW",
        REFUSED,
        lambda: _execute("REFRESH MATERIALIZED VIEW shop_category_stock"),
    )


def _execute(*statements: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _by_framework() -> Iterator[tuple[str, str, Callable[[], Any]]]:
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.cache import caches

    yield "session.save()", REFUSED, SessionStore().save
    yield 'caches["db"].clear()', REFUSED, caches["db"].clear


def _by_switching_off() -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Turn the session's own read-only setting off first: the privileges stand behind it."""
    off = "SET default_transaction_read_only = off"
    for says, statement in (
        ("INSERT", "INSERT INTO shop_tag (name) VALUES ('new tag')"),
        ("UPDATE", "UPDATE shop_product SET stock = 0"),
        ("DELETE", "DELETE FROM shop_orderline"),
        ("nextval", "SELECT nextval('shop_invoice_number')"),
        ("DROP TABLE", "DROP TABLE shop_tag CASCADE"),
    ):
        yield f"SET ...read_only = off; {says}", FORBIDDEN, partial(_execute, off, statement)
    writer = os.environ["DEMO_WRITER"]
    yield "SET ...read_only = off; SET ROLE", FORBIDDEN, lambda: _execute(off, f'SET ROLE "{writer}"')


def attempt(says: str, expected: str, deed: Callable[[], Any]) -> dict[str, str]:
    """Do it and tell what PostgreSQL said; no SQLSTATE means that it was done."""
    from django.db import connection

    connection.ensure_connection()
    told = {"says": says, "expected": expected, "sqlstate": "", "error": "it was done"}
    try:
        deed()
    except Exception as error:  # noqa: BLE001 - whatever it is, the demo judges its SQLSTATE
        told["sqlstate"] = getattr(error, "sqlstate", None) or type(error).__name__
        cause = getattr(error, "__cause__", None)
        told["error"] = " ".join(str(cause or error).split("\n")[0].split())
    finally:
        connection.close()  # what was SET goes with its session
    return told


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.example.settings")
    django.setup()
    json.dump([attempt(*one) for one in attempts()], sys.stdout)


if __name__ == "__main__":
    main()
