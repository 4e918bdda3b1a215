"""A reader of the site: checks every answer against what writers have acknowledged."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.ledger.books import SUFFIX, Entry, last_acknowledged
from tests.ledger.clients import Client, is_unexpected, serve, set_up_site
from tests.ledger.writers import KEY, PREFIX, number_of

PACE_SECONDS = 0.02
# How often the number of good answers is entered.
COUNT_SECONDS = 0.3


class WrongAnswerError(Exception):
    """The database answered, and not what it must."""


class Reader:
    """What one reading client asks, in turn and at random."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.newest = 0
        self.answers = 0
        self.counted = float("-inf")
        self.styles: tuple[Callable[[], None], ...] = (self._row, self._block, self._rows, self._transaction)

    def read(self) -> None:
        """Serve one request that reads."""
        self.client.attempt("read failed", self._request, expected=is_unexpected)
        if time.monotonic() - self.counted > COUNT_SECONDS:
            self.client.book.enter("answers", count=self.answers)
            self.counted, self.answers = time.monotonic(), 0

    def _request(self) -> None:
        serve(self.client, self.client.random.choice(self.styles), method="GET")

    def _answered(self, *, right: bool, what: str) -> None:
        if not right:
            raise WrongAnswerError(what)
        self.answers += 1

    def _acknowledged(self) -> Entry | None:
        """Return what some writer was told last."""
        books = sorted(self.client.folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)[-8:]
        writing = [path for path in books if _writes(path)]
        return last_acknowledged(self.client.random.choice(writing)) if writing else None

    def _row(self) -> None:
        """A row that was acknowledged is there, and says what was written."""
        from tests.example.shop.models import PageView

        if entry := self._acknowledged():
            key = self.client.random.choice(entry.keys)
            found = list(PageView.objects.filter(path=key).values_list("hits", flat=True))
            self._answered(right=found == [number_of(key)], what=f"{key} is {found}")

    def _block(self) -> None:
        """A block of reads, with other work before and within, sees no row go."""
        from django.db import transaction

        with transaction.atomic():
            self.client.pause(often=0.2, longest=0.05)
            before = self._highest()
            self.client.pause(often=0.2, longest=0.15)
            after = self._highest()
        self._answered(right=self.newest <= before <= after, what=f"{self.newest}, {before}, {after}")
        self.newest = after

    def _highest(self) -> int:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(id), 0) FROM shop_pageview")
            return int(cursor.fetchone()[0])

    def _rows(self) -> None:
        """Rows by a server-side cursor, where the kind has those, come in their order.

        In a block: outside one a cursor that outlives the grace ends with its session, as the README says.
        """
        from django.db import transaction

        from tests.example.shop.models import PageView

        newest = PageView.objects.order_by("-id").values_list("id", flat=True)[:30]
        with transaction.atomic():
            found = list(newest.iterator(chunk_size=10))
        ordered = found == sorted(set(found), reverse=True)
        self._answered(right=ordered and max(found, default=0) >= self.newest, what=f"{self.newest}, {found}")
        self.newest = max(found, default=0)

    def _transaction(self) -> None:
        """Of a transaction that may be under way, all rows are there or none."""
        from tests.example.shop.models import PageView

        if entry := self._acknowledged():
            under_way = f"{PREFIX}/{entry.client}/{number_of(entry.keys[0]) + 1}/"
            found = list(PageView.objects.filter(path__startswith=under_way).values_list("path", flat=True))
            parts = {int(match["parts"]) for key in found if (match := KEY.fullmatch(key))}
            self._answered(right=not found or parts == {len(found)}, what=f"part of a transaction: {found}")


def _writes(path: Path) -> bool:
    return path.stem.startswith(("writer", "plain"))


def main() -> None:
    client = Client()
    set_up_site()
    reader = Reader(client)
    client.book.enter("began")
    while client.lives(client.random.random() * PACE_SECONDS * 2):
        reader.read()


if __name__ == "__main__":
    main()
