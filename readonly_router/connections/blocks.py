"""A twin's block after a refusal: what was refused is undone alone, and the block reads on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from psycopg.pq import TransactionStatus

from ..errors import ReadOnlyError
from .cursors import TranslatingCursor

# Looked up once: this is compared for every query.
_IN_TRANSACTION, _IN_ERROR = TransactionStatus.INTRANS, TransactionStatus.INERROR
READS = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "SHOW", "FETCH", "EXPLAIN"})
# What would end the savepoint around it, or may not be in one, as SET TRANSACTION.
_OF_TRANSACTIONS = frozenset({"SAVEPOINT", "RELEASE", "ROLLBACK", "COMMIT", "END", "ABORT", "PREPARE", "SET"})
# What may stand before a statement: an execute_wrapper adds comments, also to Django's savepoints.
_BEFORE = re.compile(r"(?:\s|\(|/\*.*?\*/|--[^\n]*\n)*", re.DOTALL)


def bare(statement: Any) -> str:
    """Return a statement's text, which psycopg may compose, without comments before it."""
    if isinstance(statement, bytes):
        statement = statement.decode(errors="replace")
    text = statement.as_string(None) if hasattr(statement, "as_string") else str(statement)
    return _BEFORE.sub("", text, count=1)


def first_word(statement: Any) -> str:
    """Return the word that a statement begins with, in capitals: what it is, not what it does."""
    return re.split(r"\W", bare(statement), maxsplit=1)[0].upper()


class TwinCursor(TranslatingCursor):
    """A twin's cursor: what it has refused leaves the transaction as it was before."""

    def _execute(self, sql: Any, params: Any, *args: Any) -> Any:
        if self.db.autocommit:
            return super()._execute(sql, params, *args)
        with self._alone(sql):
            return super()._execute(sql, params, *args)

    def _executemany(self, sql: Any, param_list: Any, *args: Any) -> Any:
        with self._alone(sql):
            return super()._executemany(sql, param_list, *args)

    def callproc(self, *args: Any, **kwargs: Any) -> Any:
        with self._alone("CALL"):
            return super().callproc(*args, **kwargs)

    @contextmanager
    def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with self._alone(statement), super().copy(statement, *args, **kwargs) as copy:
            yield copy

    def stream(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with self._alone(query):
            yield from super().stream(query, *args, **kwargs)

    @contextmanager
    def _alone(self, statement: Any) -> Iterator[None]:
        session = self.cursor.connection
        if session.pgconn.transaction_status == _IN_TRANSACTION:
            savepoint = session.transaction() if self._may_fail(statement) else nullcontext()
            with self.db.wrap_database_errors, savepoint:
                yield
            return
        try:
            yield
        except ReadOnlyError:
            # The first of its transaction: nothing came before it, and psycopg begins another.
            if session.pgconn.transaction_status == _IN_ERROR:
                session.rollback()
            raise

    def _may_fail(self, statement: Any) -> bool:
        """Return whether a statement gets a savepoint.

        In a block that is marked for rollback the reads as well: Django makes no savepoints there, so that an
        atomic() within it could not fail alone.
        """
        word = first_word(statement)
        return word not in _OF_TRANSACTIONS and (self.db.needs_rollback or word not in READS)
