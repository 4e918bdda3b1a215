"""A writer of the site: numbered rows in autocommit and in blocks, each acknowledgement on disk at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.ledger.clients import DONE, REFUSED, Client, is_typed, is_unexpected, serve, set_up_site

# The rows of the ledger among the site's own; `of` is how many rows one transaction commits together.
PREFIX = "ledger"
KEY = re.compile(rf"{PREFIX}/(?P<client>[^/]+)/(?P<number>\d+)/(?P<part>\d+)of(?P<parts>\d+)")

INSERT = "INSERT INTO shop_pageview (path, hits) VALUES (%s, %s)"

PACE_SECONDS = 0.012
REFUSED_SECONDS = 0.06


def keys(client: str, number: int, parts: int) -> list[str]:
    """Return the keys of the rows that one transaction inserts."""
    return [f"{PREFIX}/{client}/{number}/{part}of{parts}" for part in range(1, parts + 1)]


class Writer:
    """What one writing client does; the last deed's fate decides how soon the next one follows."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.refused = False
        self.styles: tuple[Callable[[], None], ...] = (self._by_model, self._by_cursor, self._pair, self._block)

    def write(self) -> None:
        """Serve one request that writes."""
        style = self.client.random.choice(self.styles)
        self.refused = False
        self.client.attempt(
            "request failed", lambda: serve(self.client, style, method="POST"), expected=is_unexpected
        )

    def _by_model(self) -> None:
        self._commit(self._insert, parts=1)

    def _by_cursor(self) -> None:
        self._commit(_insert_by_cursor, parts=1)

    def _pair(self) -> None:
        """Two transactions of one request, with something else to do in between."""
        self._by_model()
        self.client.pause(often=0.3, longest=0.15)
        self._by_cursor()

    def _block(self) -> None:
        from django.db import transaction

        def together(*names: str) -> None:
            with transaction.atomic():
                # What a view does before its first query.
                self.client.pause(often=0.2, longest=0.05)
                for name in names:
                    self.client.random.choice((self._insert, _insert_by_cursor))(name)
                    self.client.pause(often=0.2, longest=0.08)

        self._commit(together, parts=self.client.random.randint(2, 4))

    def _commit(self, insert: Callable[..., Any], *, parts: int) -> None:
        """Insert rows in one transaction and enter what became of it."""
        names = keys(self.client.name, next(self.client.numbers), parts)
        fate = self.client.attempt("lost", lambda: insert(*names), expected=is_typed, keys=names)
        self.refused = fate == REFUSED
        if fate == DONE:
            self.client.book.enter(DONE, keys=names)

    def _insert(self, name: str) -> None:
        from tests.example.shop.models import PageView

        PageView.objects.create(path=name, hits=number_of(name))


def _insert_by_cursor(name: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(INSERT, [name, number_of(name)])


def number_of(key: str) -> int:
    """Return the number in a row's key, which is also in the row."""
    found = KEY.fullmatch(key)
    assert found, key
    return int(found["number"])


def main() -> None:
    client = Client()
    set_up_site()
    writer = Writer(client)
    client.book.enter("began")
    while client.lives(client.random.random() * (REFUSED_SECONDS if writer.refused else PACE_SECONDS) * 2):
        writer.write()


if __name__ == "__main__":
    main()
