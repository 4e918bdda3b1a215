"""The writer's side of a pair: closed in read-only mode, and the first to learn how the switch stands."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.utils import OperationalError

from .. import conf, mode
from ..errors import ReadOnlyError
from ..following import followers, watch
from .member import PairMember
from .refusals import ENDED, READ_ONLY_TRANSACTION, sqlstate_of
from .translation import reason_of
from .twin_sessions import starts_read_only

# How often a writer connects again, at most, when its new session ends at once.
_ATTEMPTS = 3


class Writer(PairMember):
    """The connection of a writer's alias: in read-only mode closed, or the twin's, whoever kept a reference."""

    connecting = False

    def connect(self, *, attempts: int = _ATTEMPTS) -> None:
        """Connect, and learn from the new session whether the switch is on.

        A pooler may hand out a session that is just being ended. Nothing of the site's was sent on it: once more.
        """
        started = time.monotonic()
        self.connecting = True
        try:
            self._connect_at(started)
        except (psycopg.OperationalError, OperationalError) as error:
            # What a pooler says after a wait, or of a login, is something else.
            at_once = self.connection is not None and time.monotonic() - started < followers.ASK_SECONDS
            ended = at_once and (self.connection.closed or sqlstate_of(error) in ENDED)
            if attempts <= 1 or not ended:
                raise
            self.drop()
            self.ended = True
            self.connect(attempts=attempts - 1)
        finally:
            self.connecting = False

    def _connect_at(self, started: float) -> None:
        super().connect()
        if self.alias == NO_DB_ALIAS or not watch.can_tell(self.connection):
            return  # Django's own to the server, which makes and drops databases: it has no switch
        if mode.follows():
            # Kept here: who receives the news may ask the database, and so leave this session at once.
            connection = self.connection
            followers.of(self.alias).meet_writer(connection, started=started, ended=self.ended)
            self.ended = False
            if watch.watch_of(connection).fenced:
                # A pinned request would write on: this session cannot.
                mode.loosen(self.alias)
        elif starts_read_only(self.connection):
            followers.of(self.alias).open_for_writing(self.connection)

    @property
    def writes_through_the_switch(self) -> bool:
        """Return whether the open session was made writable although the switch is on."""
        connection = self.connection
        return watch.is_watched(connection) and watch.watch_of(connection).opened_for_writing

    def _close(self) -> None:
        if self.writes_through_the_switch:
            # Not back into a pool: it would write for whoever gets it next.
            self.connection.close()
        super()._close()

    def get_new_connection(self, conn_params: Any) -> Any:
        self._refuse_in_read_only_mode()
        return super().get_new_connection(conn_params)

    def _cursor(self, name: str | None = None) -> Any:
        if self.connection is not None and mode.open_at == (mode.apart() or mode.generation):
            return super()._cursor(name)  # type: ignore[misc]  # the engine's
        # As it connects Django asks that very session for its version, whatever a look at a pool's told meanwhile.
        if mode.follows() and not self.connecting:
            if not mode.is_read_only(self.alias):
                self._ensure_told()
            if mode.is_read_only(self.alias) and not self.holds_alias():
                return connections[self.alias]._cursor(name)  # type: ignore[attr-defined]  # of our handler
        return super()._cursor(name)  # type: ignore[misc]  # the engine's

    def _ensure_told(self) -> None:
        """Connect, for it may be only now that it finds the switch on; or else let the twin tell."""
        try:
            self.ensure_connection()
        except OperationalError as error:
            # A pool that is busy is no login that was refused, and asking as another would make it busier.
            busy = type(error.__cause__).__name__ == "PoolTimeout"
            asked = self.alias in conf.twins() and not (busy or self.in_atomic_block)
            # A method of our handler, which the stubs of django.db.connections cannot know.
            if not asked or not connections.told_by_twin(self.alias):  # type: ignore[attr-defined]  # of our handler
                raise

    def _refuse_in_read_only_mode(self) -> None:
        # Another thread may have met the switch since this was handed out; there PostgreSQL itself refuses.
        if mode.follows() or not mode.is_read_only(self.alias) or self.is_fenced:
            return
        # A scope is entered outside the writer's transactions; one that is open all the same is another thread's.
        if mode.scope() is mode.Scope.READ_ONLY or not self.holds_alias():
            raise ReadOnlyError.of(
                f"The writer's own connection '{self.alias}' is closed in read-only mode; "
                f"ask django.db.connections anew. {reason_of(self)}",
                alias=self.alias,
                sqlstate=READ_ONLY_TRANSACTION,
            )

    @property
    def is_fenced(self) -> bool:
        """Return whether the switch made this session read-only as it began: it may serve a block of reads."""
        return watch.is_watched(self.connection) and watch.watch_of(self.connection).fenced
