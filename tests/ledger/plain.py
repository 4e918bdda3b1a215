"""A writer that ignores the package: psycopg alone, with the writer's login."""

from __future__ import annotations

import os
from typing import Any

import psycopg

from tests.ledger.clients import DONE, Client
from tests.ledger.writers import INSERT, keys, number_of

# A write refused, or a session ended: what such a program may meet, and nothing else.
REFUSALS = ("25006", "57P01")
PACE_SECONDS = 0.015
REFUSED_SECONDS = 0.15


class Stubborn:
    """A program that keeps its connection as long as it holds, and tries again whatever it is told."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.connection: psycopg.Connection[Any] | None = None
        # What the server said unasked: psycopg hands it over as a notice when it comes right behind an answer.
        self.last_words = ""

    def write(self) -> bool:
        """Insert once; return whether it was acknowledged."""
        names = keys(self.client.name, next(self.client.numbers), self.client.random.choice((1, 1, 3)))
        fate = self.client.attempt("lost", lambda: self._insert(names), expected=self._is_refusal, keys=names)
        if self.connection is not None and (self.connection.closed or self._has_given_up()):
            self.connection.close()
            self.connection = None
        if fate == DONE:
            self.client.book.enter(DONE, keys=names)
        return fate == DONE

    def _insert(self, names: list[str]) -> None:
        if self.connection is None:
            self.last_words = ""
            self.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, connect_timeout=5)
            self.connection.add_notice_handler(self._hear)
        if len(names) == 1:
            self.connection.execute(INSERT, [names[0], number_of(names[0])])
            return
        with self.connection.transaction():
            for name in names:
                self.connection.execute(INSERT, [name, number_of(name)])
                self.client.pause(often=0.3, longest=0.08)

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        self.last_words = notice.sqlstate or ""

    def _is_refusal(self, error: Exception) -> bool:
        if not isinstance(error, psycopg.Error):
            return False
        return (error.sqlstate or self.last_words) in REFUSALS or self._has_given_up()

    def _has_given_up(self) -> bool:
        """Return whether psycopg left a command in the middle: its session ended by a reset, told by halves."""
        status = self.connection.info.transaction_status if self.connection is not None else None
        return status is psycopg.pq.TransactionStatus.ACTIVE


def main() -> None:
    client = Client()
    stubborn = Stubborn(client)
    client.book.enter("began")
    pace = 0.0
    while client.lives(client.random.random() * pace * 2):
        pace = PACE_SECONDS if stubborn.write() else REFUSED_SECONDS


if __name__ == "__main__":
    main()
