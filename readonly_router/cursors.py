"""Cursors whose every method tells a refusal: Django leaves out the two that raise while they are consumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, cast

from django.db import Error, InternalError, OperationalError
from django.db.backends.utils import CursorWrapper

from .errors import ReadOnlyError
from .refusals import ENDED, sqlstate_of

# On how many sessions a statement is tried again whose session the drain ended.
ATTEMPTS = 4


class _Translating:
    """The two psycopg methods that raise past Django's wrapping of cursor methods: while they are consumed."""

    cursor: Any
    db: Any
    # Whether a twin's cursor was asked of the writer's alias.
    handed = False

    def _execute(self, *args: Any, **kwargs: Any) -> Any:
        # The mixed-in class's, as below: the stubs cannot know it.
        return self._served(super()._execute, *args, **kwargs)  # type: ignore[misc]  # the mixed-in class's

    def _executemany(self, sql: Any, param_list: Any, *args: Any) -> Any:
        if not isinstance(param_list, Sequence):
            # As below. What it has yielded is gone: nothing could be sent twice.
            return super()._executemany(sql, param_list, *args)  # type: ignore[misc]  # the mixed-in class's
        return self._served(super()._executemany, sql, param_list, *args)  # type: ignore[misc]  # the mixed-in class's

    def callproc(self, *args: Any, **kwargs: Any) -> Any:
        return self._served(super().callproc, *args, **kwargs)  # type: ignore[misc]  # the mixed-in class's

    def _served(self, run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        unsent = self.db.has_sent_nothing(self.cursor.connection)
        try:
            return run(*args, **kwargs)
        except (OperationalError, InternalError) as error:
            # A COMMIT among several may have made the first ones last.
            unsent = unsent and not (self.db.in_atomic_block and _may_be_several(*args))
            served = self._serving(error, unsent)
            if served is None:
                raise
            ended: Exception = error
        try:
            # The next one may be ended too: a pool hands out what it had before the switch.
            for _ in range(ATTEMPTS):
                # The drain ended the session as the query was on its way: it runs where it would now.
                self._go_on(served)
                unsent = self.db.has_sent_nothing(self.cursor.connection)
                try:
                    return run(*args, **kwargs)
                except (OperationalError, InternalError) as error:
                    served = self._serving(error, unsent)
                    if served is None:
                        raise
            raise ended
        except ReadOnlyError as refused:
            raise ReadOnlyError.of(
                f"{refused} The switch ended the session that it was first sent to; look before you repeat it.",
                alias=refused.alias,
                sqlstate=refused.sqlstate,
                uncertain=True,
            ) from ended

    def _serving(self, error: Exception, unsent: bool) -> Any:
        return self.db.served_after(error, self.cursor.connection, unsent=unsent, handed=self.handed)

    def _go_on(self, served: Any) -> None:
        with suppress(Error), self.db.wrap_database_errors:
            self.cursor.close()
        self.handed = self.handed or not self.db.is_twin
        self.cursor, self.db = served.cursor().cursor, served

    def close(self) -> None:
        """Close the cursor; one of the server's is closed already where its session ended."""
        try:
            self.cursor.close()
        except self.db.Database.Error as error:
            if not self.cursor.connection.closed and sqlstate_of(error) not in ENDED:
                raise

    @contextmanager
    def copy(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        below = getattr(super(), "copy", self.cursor.copy)
        with self.db.wrap_database_errors, below(*args, **kwargs) as copy:
            yield copy

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with self.db.wrap_database_errors:
            yield from self.cursor.stream(*args, **kwargs)


def _may_be_several(statement: Any, params: Any = None, *_: Any) -> bool:
    """Tell whether a text may hold several statements: with parameters PostgreSQL takes but one."""
    return not params and (not isinstance(statement, str) or ";" in statement.rstrip().rstrip(";"))


class TranslatingCursor(_Translating, CursorWrapper):
    """Django's cursor wrapper with them."""


def translating(cursor: CursorWrapper) -> CursorWrapper:
    cursor.__class__ = _cursor_class(cast(Any, type(cursor)))
    return cursor


@lru_cache
def _cursor_class(base: Any) -> type[CursorWrapper]:
    return type(base.__name__, (_Translating, base), {"__module__": __name__})
