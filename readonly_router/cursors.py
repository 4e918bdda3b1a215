"""Cursors whose every method tells a refusal: Django leaves out the two that raise while they are consumed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

from django.db.backends.utils import CursorWrapper


class _Translating:
    """The two psycopg methods that raise past Django's wrapping of cursor methods: while they are consumed."""

    cursor: Any
    db: Any

    @contextmanager
    def copy(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        below = getattr(super(), "copy", self.cursor.copy)
        with self.db.wrap_database_errors, below(*args, **kwargs) as copy:
            yield copy

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with self.db.wrap_database_errors:
            yield from self.cursor.stream(*args, **kwargs)


class TranslatingCursor(_Translating, CursorWrapper):
    """Django's cursor wrapper with them."""


def translating(cursor: CursorWrapper) -> CursorWrapper:
    cursor.__class__ = _cursor_class(cast(Any, type(cursor)))
    return cursor


@lru_cache
def _cursor_class(base: Any) -> type[CursorWrapper]:
    return type(base.__name__, (_Translating, base), {"__module__": __name__})
