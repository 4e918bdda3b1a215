"""A twin's transaction after a refusal: what was refused is undone alone, and the block goes on."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from .errors import ReadOnlyError

if TYPE_CHECKING:
    _Wrapper = BaseDatabaseWrapper
else:
    _Wrapper = object

# psycopg's and libpq's TransactionStatus.
_IN_TRANSACTION, _IN_ERROR = 2, 3
_KEPT = "readonly_router_kept"
logger = logging.getLogger("readonly_router")
# What is likely to be refused, by its first word, and the SELECTs that lock rows or move a sequence. A statement
# that is missing here is still made good, but with the loss of what is local to the transaction.
_WRITES = re.compile(
    r"[\s(]*(?:INSERT|UPDATE|DELETE|MERGE|COPY|TRUNCATE|CREATE|ALTER|DROP|REFRESH|LOCK|CALL|DO|WITH|EXPLAIN)\b",
    re.IGNORECASE,
)
# Comments before a statement.
COMMENTS = re.compile(r"\A(?:\s|\(|/\*.*?\*/|--[^\n]*\n)+", re.DOTALL)
# What leaves nothing in a transaction that could be missed in another.
_PLAIN = re.compile(
    r"(?:SELECT|SHOW|TABLE|VALUES)\b(?!.*\b(?:set_config|pg_(?:try_)?advisory_xact_lock))", re.I | re.S
)
_LOCKS = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?(?:KEY\s+)?(?:UPDATE|SHARE)\b|\b(?:next|set)val\b", re.IGNORECASE)


def may_write(statement: Any) -> bool:
    """Tell whether a statement is worth a savepoint of its own on a twin; no decision about what is refused."""
    text = _text(statement)
    return bool(_WRITES.match(_bare(statement)) or _LOCKS.search(text))


def _bare(statement: Any) -> str:
    return COMMENTS.sub("", _text(statement))


def _text(statement: Any) -> str:
    """Return a statement as text: psycopg composes some."""
    if isinstance(statement, bytes):
        return statement.decode(errors="replace")
    return str(statement.as_string(None) if hasattr(statement, "as_string") else statement)


class Renewing(_Wrapper):
    """What lets a block on a twin go on after a refusal: nothing can have been written in it.

    What belongs to the transaction stays where that is possible: its snapshot, open cursors, SET LOCAL, locks.
    """

    # Of a member of a pair.
    server_cursors: WeakSet[Any]
    # Whether the open transaction holds what another would lack, such as SET LOCAL.
    holds_state = False
    # How many savepoints were open where a refusal was made good that Django takes for the end of the block.
    lost_at: int | None = None

    @cached_property
    def savepoints(self) -> list[str]:
        """Return the open savepoints of the open transaction, outermost first."""
        return []

    @property
    def needs_rollback(self) -> bool:
        """Tell Django whether the block is lost: not by a refusal, which left nothing and was made good."""
        return bool(self.__dict__.get("needs_rollback", False))

    @needs_rollback.setter
    def needs_rollback(self, lost: bool) -> None:
        renewed = lost and self._was_renewed()
        if renewed:
            depth = len(self.savepoints)
            self.lost_at = depth if self.lost_at is None else min(depth, self.lost_at)
        self.__dict__["needs_rollback"] = lost and not renewed

    def set_rollback(self, rollback: bool) -> None:
        """Do what the application asks for, also while it handles a refusal."""
        super().set_rollback(rollback)
        self.__dict__["needs_rollback"] = rollback

    def _was_renewed(self) -> bool:
        return isinstance(sys.exc_info()[1], ReadOnlyError) and self._status() not in {None, _IN_ERROR}

    def _status(self) -> int | None:
        if self.connection is None or self.connection.closed:
            return None
        return int(self.connection.info.transaction_status)

    def renew(self) -> None:
        """Make the transaction usable again: back to the innermost savepoint, else begun anew."""
        innermost = self.savepoints[-1] if self.savepoints else ""
        if self._status() != _IN_ERROR or (innermost not in {"", _KEPT} and self._has_open_cursors()):
            return
        if not innermost and self.holds_state:
            return  # as without us: the rest of the block would run without what it set
        # A connection that is lost meanwhile says so when it is used next.
        # As the engine names its driver; the base class of the stubs does not.
        with suppress(self.Database.Error):  # type: ignore[attr-defined]  # the engine's driver
            # On psycopg's own connection: this runs while Django handles the error.
            if innermost:
                self._say("ROLLBACK TO SAVEPOINT", innermost)
            else:
                self.connection.rollback()

    def _has_open_cursors(self) -> bool:
        """Tell whether psycopg may close a cursor that went with the savepoint: an error of its own."""
        return any(not cursor.closed for cursor in self.server_cursors)

    def kept(self, statement: Any) -> AbstractContextManager[None]:
        """Return a context in which a refusal of the statement leaves the transaction as it was before."""
        self.holds_state = self.holds_state or not (may_write(statement) or _PLAIN.match(_bare(statement)))
        # The first statement of a block has nothing before it.
        if self.autocommit or self._status() != _IN_TRANSACTION or not may_write(statement):
            return nullcontext()
        return self._within_savepoint()

    @contextmanager
    def _within_savepoint(self) -> Iterator[None]:
        with self.wrap_database_errors:
            self._say("SAVEPOINT", _KEPT)
        before = len(self.savepoints)
        self.savepoints.append(_KEPT)
        try:
            yield
        finally:
            del self.savepoints[before:]
            if self._status() == _IN_TRANSACTION:
                with self.wrap_database_errors:
                    self._say("RELEASE SAVEPOINT", _KEPT)

    def _say(self, what: str, savepoint: str) -> None:
        self.connection.execute(f"{what} {self.ops.quote_name(savepoint)}", prepare=False)

    # -- Django's seams

    def make_cursor(self, cursor: Any) -> Any:
        return _keeping(super().make_cursor(cursor))

    def make_debug_cursor(self, cursor: Any) -> Any:
        return _keeping(super().make_debug_cursor(cursor))

    def _savepoint(self, sid: str) -> None:
        # These five are the engine's: the base class that the stubs see has none of them.
        super()._savepoint(sid)  # type: ignore[misc]  # the mixed-in class's
        self.savepoints.append(sid)

    def _savepoint_rollback(self, sid: str) -> None:
        super()._savepoint_rollback(sid)  # type: ignore[misc]  # the mixed-in class's
        if sid in self.savepoints:
            keep = self.savepoints.index(sid) + 1
            del self.savepoints[keep:]
            self.lost_at = None if self.lost_at is not None and self.lost_at >= keep else self.lost_at

    def _savepoint_commit(self, sid: str) -> None:
        super()._savepoint_commit(sid)  # type: ignore[misc]  # the mixed-in class's
        if sid in self.savepoints:
            del self.savepoints[self.savepoints.index(sid) :]

    def _commit(self) -> None:
        if self.lost_at is not None and self.run_on_commit:
            # Django would have rolled the block back, and run none of them.
            logger.info("on_commit hooks of a block on '%s' are dropped: it went on after a refusal.", self.alias)
            self.run_on_commit.clear()
        self._forget_block()
        super()._commit()  # type: ignore[misc]  # the mixed-in class's

    def _rollback(self) -> None:
        self._forget_block()
        super()._rollback()  # type: ignore[misc]  # the mixed-in class's

    def set_autocommit(self, autocommit: bool, *args: Any, **kwargs: Any) -> None:
        super().set_autocommit(autocommit, *args, **kwargs)
        self._forget_block()

    def _forget_block(self) -> None:
        self.savepoints.clear()
        self.holds_state, self.lost_at = False, None


class _Keeping:
    """A cursor whose refused statement leaves the transaction as it was before."""

    db: Any

    def _execute(self, sql: Any, params: Any, *args: Any) -> Any:
        with self.db.kept(sql):
            # The mixed-in class's: the stubs cannot know it.
            return super()._execute(sql, params, *args)  # type: ignore[misc]  # the mixed-in class's

    def _executemany(self, sql: Any, param_list: Any, *args: Any) -> Any:
        with self.db.kept(sql):
            return super()._executemany(sql, param_list, *args)  # type: ignore[misc]  # the mixed-in class's

    def callproc(self, *args: Any, **kwargs: Any) -> Any:
        with self.db.kept("CALL"):
            return super().callproc(*args, **kwargs)  # type: ignore[misc]  # the mixed-in class's

    @contextmanager
    def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        # As above.
        with self.db.kept(statement), super().copy(statement, *args, **kwargs) as copy:  # type: ignore[misc]  # the mixed-in class's
            yield copy

    def stream(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with self.db.kept(query):
            yield from super().stream(query, *args, **kwargs)  # type: ignore[misc]  # the mixed-in class's


def _keeping(cursor: CursorWrapper) -> CursorWrapper:
    cursor.__class__ = _cursor_class(cast(Any, type(cursor)))
    return cursor


@lru_cache
def _cursor_class(base: Any) -> type[CursorWrapper]:
    return type(base.__name__, (_Keeping, base), {"__module__": __name__})
