"""The connections of a pair: typed refusals, knowing their open transactions, and what keeps each in its place."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import DatabaseErrorWrapper
from psycopg.pq import TransactionStatus

from .. import conf, mode
from ..following import followers, watch
from . import engines, repeating
from .cursors import TranslatingCursor, of_the_server, over
from .held import held
from .translation import RefusalTranslator, writer_of

if TYPE_CHECKING:
    _Wrapper = BaseDatabaseWrapper
else:
    _Wrapper = object


_IN_TRANSACTION = (TransactionStatus.INTRANS, TransactionStatus.INERROR)


class PairMember(_Wrapper):
    """What a wrapper of a pair adds to Django's: typed refusals, and knowing its open transaction."""

    is_twin = False
    cursor_class = TranslatingCursor
    # The session before ended by itself, which may be the switch's doing.
    ended = False
    # The session did something in this request, or since close_old_connections: it may hold what another lacks.
    used = False
    # What the next statement is to say: that something was lost as the switch moved.
    owes_error = ""
    # Whose session the open block goes on with, where its own ended.
    lender: PairMember | None = None
    engine_make_cursor: Any

    @property
    def is_replica(self) -> bool:
        """Return whether this is another server on purpose, which knows nothing of the switch."""
        return self.alias in conf.replicas()

    @cached_property
    def server_cursors(self) -> WeakSet[Any]:
        """Return psycopg's server-side cursors: they end with their session."""
        return WeakSet()

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        return RefusalTranslator(self)

    def make_cursor(self, cursor: Any) -> Any:
        # Built at once where the engine does not make its own: this runs for every query.
        if type(self).engine_make_cursor is BaseDatabaseWrapper.make_cursor:
            made: Any = self.cursor_class(cursor, self)
        else:
            made = over(super().make_cursor(cursor), self.cursor_class)
        if self.is_twin and held.handed:
            # Asked of the twin's own alias, it never goes on as the writer's.
            made.handed = held.handed == writer_of(self)
        return made

    def make_debug_cursor(self, cursor: Any) -> Any:
        made: Any = over(super().make_debug_cursor(cursor), self.cursor_class)
        made.handed = self.is_twin and held.handed == writer_of(self)
        return made

    def chunked_cursor(self) -> Any:
        return of_the_server(super().chunked_cursor())

    def create_cursor(self, name: str | None = None) -> Any:
        if not self.is_twin and mode.open_at != (mode.apart() or mode.generation):
            self._refuse_in_read_only_mode()
        if self.owes_error:
            raise repeating.ended_in_use(self)
        try:
            cursor = super().create_cursor(name)
        except psycopg.OperationalError:
            if self.used and repeating.has_moved(self, self.connection):
                raise repeating.ended_in_use(self) from None
            raise
        if name:
            self.server_cursors.add(cursor)
        return cursor

    def connect(self) -> None:
        """Connect; whatever was done before was done on another session.

        What is to be said is said afterwards: Django and who hears of the connection ask on it as it is made.
        """
        said, self.owes_error = self.owes_error, ""
        try:
            super().connect()
        finally:
            self.owes_error = said
        self.used = False

    def close(self) -> None:
        """Close; who closes a connection counts on nothing that was set on it."""
        super().close()
        self.owes_error = ""

    def drop(self) -> None:
        """Close a session that came to nothing; what the next statement is to say stays."""
        said = self.owes_error
        self.close()
        self.owes_error = said

    def close_if_unusable_or_obsolete(self) -> None:
        """Begin another block of work: Django calls this around requests, and loops are to call it."""
        super().close_if_unusable_or_obsolete()
        if not self.in_atomic_block:
            self.begin_work()

    def begin_work(self) -> None:
        """Take whatever was done on the session for done with: nothing to come goes on with it."""
        self.used, self.owes_error = False, ""

    def taking_over(self, session: Any, *, handed: bool) -> BaseDatabaseWrapper | None:
        """Return the connection for a cursor that was kept while the mode closed its session; None if it did not.

        `handed`: a twin's cursor was asked of the writer's alias; one of the twin's own stays on the twin.
        """
        if not session.closed or self.in_atomic_block or not mode.follows():
            return None
        if self.is_twin and not handed:
            return self
        now = connections[writer_of(self)]
        return now if now is not self else None

    def borrow(self, twin: PairMember) -> None:
        """Let the open block, which has sent nothing, go on READ ONLY on a new session of the twin's to its end.

        Not by connecting, which forgets a block.
        """
        lender = twin.copy()
        lender.connect()
        repeating.learn(writer_of(self), lender)
        self._close()
        self.connection, self.lender = lender.connection, lender
        engines.forget_session(self)
        self.connection.set_autocommit(False)
        self.connection.set_read_only(True)

    def _close(self) -> None:
        # The base class that the stubs see has none.
        lender, self.lender = self.lender, None
        if lender is not None and self.connection is lender.connection:
            self.connection.close()
            lender.close()
        else:
            super()._close()  # type: ignore[misc]  # the engine's

    def get_new_connection(self, conn_params: Any) -> Any:
        # The engine's: the base class that the stubs see here has none that knows of pools.
        connection = super().get_new_connection(conn_params)
        while self._is_spent(connection):
            # A pool's, from before the switch: drained, or read-only still.
            connection.close()
            self.pool.putconn(connection)  # type: ignore[attr-defined]  # the engine's
            connection = super().get_new_connection(conn_params)
        return connection

    def _is_spent(self, connection: Any) -> bool:
        if not watch.is_watched(connection):
            return False
        if self.is_replica or not mode.follows():
            return watch.has_ended(connection)
        return not followers.of(writer_of(self)).look(connection)

    def _configure_connection(self, connection: Any) -> bool:
        # psycopg's pool calls this for each connection it opens, long before it is handed out.
        if watch.can_tell(connection):
            watch.watch_of(connection)
        # The engine's method: the base class that the stubs see here has none.
        return bool(super()._configure_connection(connection))  # type: ignore[misc]  # the engine's

    def _refuse_in_read_only_mode(self) -> None:
        """Raise where this is a writer's connection that is closed in read-only mode."""

    def retire(self) -> bool:
        """Close the session the mode has left behind, unless a transaction or an open cursor still needs it."""
        needed = (
            self.in_atomic_block
            or self.has_begun_by_hand()
            or any(not cursor.closed for cursor in self.server_cursors)
        )
        if self.connection is not None and not needed:
            # Not back into a pool: it holds what this thread set, and this thread may hold a cursor of it.
            self.connection.close()
            self.close()
        return self.connection is None

    def has_begun_by_hand(self) -> bool:
        """Return whether a BEGIN of the application's own is open, of which Django knows nothing."""
        connection = self.connection
        if connection is None or not self.autocommit or not watch.can_tell(connection):
            return False
        return connection.pgconn.transaction_status in _IN_TRANSACTION

    def set_autocommit(self, autocommit: bool, *args: Any, **kwargs: Any) -> None:
        """Note who left autocommit: a transaction begins and ends there."""
        if not autocommit and mode.open_at != (mode.apart() or mode.generation):
            self._refuse_in_read_only_mode()
        super().set_autocommit(autocommit, *args, **kwargs)
        if autocommit and self.lender is not None and not self.in_atomic_block:
            self.close()
        if autocommit and held.wrappers.get(self.alias) is self:
            del held.wrappers[self.alias]
        elif not autocommit and self._may_hold():
            held.wrappers[self.alias] = self

    def _may_hold(self) -> bool:
        """Return whether a transaction of this wrapper keeps the alias: a copy's does not."""
        lead = held.leads.get(self.alias)
        return (lead is not None and lead.wrapper is self) or cast(Any, connections).own(self.alias) is self

    def holds_alias(self) -> bool:
        """Return whether an open transaction keeps the writer's alias on this connection."""
        if self.in_atomic_block:
            return True
        if self.connection is None or self.autocommit:
            return self.has_begun_by_hand()
        # Autocommit is off: psycopg knows, without a round trip, whether a transaction is open.
        return bool(self.connection.info.transaction_status != TransactionStatus.IDLE)
