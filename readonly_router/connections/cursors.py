"""Cursors whose every method tells a refusal: Django leaves out the two that raise while they are consumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from typing import Any, cast

import psycopg
from django.db import Error, InternalError, OperationalError
from django.db.backends.utils import CursorWrapper

from ..errors import ReadOnlyRouterError
from ..following import watch
from . import repeating
from .refusals import ENDED, sqlstate_of
from .translation import refusals


class TranslatingCursor(CursorWrapper):
    """Django's cursor wrapper, with the psycopg methods that raise past its wrapping: while they are consumed."""

    cursor: Any
    db: Any
    # Whether a twin's cursor was asked of the writer's alias.
    handed = False

    def _execute(self, sql: Any, params: Any, *args: Any) -> Any:
        if params is None:
            watch.note_listening(self.cursor.connection, sql)
        # What `_sent` does, without its calls: this runs for every query.
        session, db = self.cursor.connection, self.db
        if session is not db.connection or not db.used:
            run = partial(super()._execute, sql, params, *args)  # type: ignore[misc]  # not in the stubs
            return self._sent(run, again=True)
        try:
            return super()._execute(sql, params, *args)  # type: ignore[misc]  # not in the stubs
        except (OperationalError, InternalError) as error:
            self._refuse_lost(error, session)
            raise

    def _executemany(self, *args: Any, **kwargs: Any) -> Any:
        return self._sent(partial(super()._executemany, *args, **kwargs))  # type: ignore[misc]  # not in the stubs

    def callproc(self, *args: Any, **kwargs: Any) -> Any:
        return self._sent(partial(super().callproc, *args, **kwargs))

    def _sent(self, run: Callable[[], Any], *, again: bool = False) -> Any:
        if self.cursor.connection is not self.db.connection:
            self._move()
        session = self.cursor.connection
        first = repeating.is_first(self.db, session)
        try:
            return run()
        except (OperationalError, InternalError) as error:
            if not first:
                self._refuse_lost(error, session)
            if not (first and again and self._is_lost(error, session)):
                raise
            try:
                return repeating.send_again(cast(Any, self), run)
            except (Error, ReadOnlyRouterError, psycopg.Error):
                # The first may have landed, as where a commit waits for a standby: a refusal would deny that.
                raise error from error.__cause__

    def _is_lost(self, error: Exception, session: Any) -> bool:
        """Return whether a session ended under its statement, and the switch moved since it was born."""
        return repeating.has_ended(self.db, session, error) and repeating.has_moved(self.db, session)

    def _refuse_lost(self, error: Exception, session: Any) -> None:
        """Raise the typed error where a session is lost that may have held something."""
        if self._is_lost(error, session):
            raise repeating.ended_in_use(self.db) from error.__cause__

    def _move(self) -> None:
        """Go where the alias leads now, with a cursor that was kept while the mode moved on."""
        served = self.db.taking_over(self.cursor.connection, handed=self.handed)
        if served is not None:
            with suppress(Error), self.db.wrap_database_errors:
                self.cursor.close()
            self.handed = self.handed or not self.db.is_twin
            self.cursor, self.db = served.cursor().cursor, served

    @contextmanager
    def copy(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        self.db.used = True
        below = getattr(super(), "copy", self.cursor.copy)
        with refusals(self.db), below(*args, **kwargs) as copy:
            yield copy

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        self.db.used = True
        with refusals(self.db):
            yield from self.cursor.stream(*args, **kwargs)


class _OfTheServer:
    """A server-side cursor, which ends with its session."""

    cursor: Any
    db: Any

    def close(self) -> None:
        """Close the cursor; it is closed already where its session ended."""
        try:
            self.cursor.close()
        except self.db.Database.Error as error:
            if not self.cursor.connection.closed and sqlstate_of(error) not in ENDED:
                raise


def of_the_server(cursor: CursorWrapper) -> CursorWrapper:
    return over(cursor, _OfTheServer)


def over(cursor: CursorWrapper, kind: type) -> CursorWrapper:
    """Return a cursor as the engine made it, with the methods of `kind` over its own."""
    cursor.__class__ = _over(cast(Any, type(cursor)), kind)
    return cursor


@lru_cache
def _over(base: Any, kind: Any) -> type[CursorWrapper]:
    return type(base.__name__, (kind, base), {"__module__": __name__})
