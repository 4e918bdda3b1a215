"""Where an alias leads: in read-only mode the writer's alias resolves to its twin's connection."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler, DatabaseError

from . import conf, following, mode
from .errors import ReadOnlyRouterError
from .held import held, holds
from .mode import Status
from .pairs import paired
from .translation import TwinAlias
from .twin_sessions import refuse_unsafe_twin
from .watch import can_tell
from .wrappers import PairMember, Writer


class PairedConnectionHandler(ConnectionHandler):
    """Django's handler, but a writer's alias leads to its twin in read-only mode.

    `connections.__class__` becomes this class once (see `install`), so that every reference anybody already
    holds to `django.db.connections` or `django.db.connection` takes part.
    """

    def __getitem__(self, alias: str) -> BaseDatabaseWrapper:
        resolved = resolve(alias)
        try:
            # Django's thread-local store, which its type stubs leave out.
            return getattr(self._connections, resolved)  # type: ignore[attr-defined, no-any-return]  # Django's thread-local store
        except AttributeError:
            return super().__getitem__(resolved)

    def own(self, alias: str) -> BaseDatabaseWrapper | None:
        """Return the alias's own connection where this thread has one already."""
        # As above: not in the stubs.
        return getattr(self._connections, alias, None)  # type: ignore[attr-defined]  # Django's thread-local store

    def anew(self, alias: str) -> BaseDatabaseWrapper:
        """Return the connection that serves the alias after a look for news, however recent the last."""
        _thread.looked.pop(alias, None)
        return self[alias]

    def told_by_twin(self, alias: str) -> bool:
        """Ask as the twin where the writer cannot log in; tell whether the switch (`--fence login`) is on."""
        twin = self.real(conf.twins()[alias])
        if twin.in_atomic_block or following.was_denied(alias):
            return mode.is_read_only(alias)
        opened = twin.connection is None
        with suppress(DatabaseError, ReadOnlyRouterError), twin.wrap_database_errors:
            twin.ensure_connection()
            if can_tell(twin.connection):
                following.ask(alias, twin.connection)
        if not mode.is_read_only(alias):
            following.deny(alias)
            if opened:
                twin.close()
        return mode.is_read_only(alias)

    def real(self, alias: str) -> BaseDatabaseWrapper:
        """Return the alias's own connection whatever the mode."""
        return super().__getitem__(alias)

    def all(self, initialized_only: bool = False) -> list[BaseDatabaseWrapper]:
        """Return the connections: for housekeeping (those initialized) the real ones, so that none leaks."""
        if initialized_only:
            return [wrapper for alias in self if (wrapper := self.own(alias)) is not None]
        return list({id(wrapper): wrapper for wrapper in map(self.__getitem__, self)}.values())

    def create_connection(self, alias: str) -> BaseDatabaseWrapper:
        """Create the alias's wrapper, a member of a pair where it is in one."""
        if alias in conf.writers():
            refuse_unsafe_twin(alias, self.settings)
        wrapper: BaseDatabaseWrapper = super().create_connection(alias)
        if alias in conf.writers() or alias in conf.twins():
            _adopt(wrapper)
        return wrapper


def _adopt(wrapper: BaseDatabaseWrapper) -> None:
    """Make a wrapper a member of its pair; idempotent."""
    if isinstance(wrapper, PairMember):
        return
    is_twin = wrapper.alias in conf.writers()
    wrapper.__class__ = paired(cast(Any, type(wrapper)), twin=is_twin)
    # Django's own, where it was used already.
    vars(wrapper).pop("wrap_database_errors", None)
    if is_twin:
        wrapper.alias = TwinAlias(wrapper.alias)


def install() -> None:
    """Make `django.db.connections` resolve pairs; wrappers made before are remade. Idempotent."""
    if isinstance(connections, PairedConnectionHandler):
        return
    connections.__class__ = PairedConnectionHandler
    for wrapper in connections.all(initialized_only=True):
        if wrapper.alias in conf.twins() or wrapper.alias in conf.writers():
            # Models make a wrapper as they are imported, and an ASGI server imports within its event loop.
            if wrapper.connection is not None:
                wrapper.close()
            del connections[wrapper.alias]
            # Whoever keeps it, from a module that was imported before: it may write no more than a new one.
            _adopt(wrapper)


def resolve(alias: str) -> str:
    """Return the alias whose own connection serves `alias` here and now.

    A transaction opened through a writer's alias keeps its connection to its end, whatever the mode does
    meanwhile; only an explicit `writable()` leaves it, for a transaction of its own on the writer.
    """
    twin = conf.twins().get(alias)
    if twin is None:
        held.handed = ""
        return alias
    if mode.follows():
        _follow(alias, twin)
    if mode.is_read_only(alias):
        if holds(alias) or _has_begun_by_hand(alias):
            return alias
        held.handed = alias
        return twin
    if held.wrappers and mode.scope() is None and holds(twin):
        return twin
    return alias


def _has_begun_by_hand(alias: str) -> bool:
    """Tell whether this thread has not left the writer yet, within a BEGIN that Django knows nothing of."""
    if not mode.follows() or _thread.served.get(alias, alias) != alias:
        return False
    wrapper = cast(PairedConnectionHandler, connections).own(alias)
    return wrapper is not None and cast(PairMember, wrapper).has_begun_by_hand()


def meet(alias: str) -> None:
    """Make sure of the mode: where this thread has no session that carries the news, open the writer's."""
    resolve(alias)
    if mode.follows() and not mode.is_read_only(alias):
        _connect(cast(PairedConnectionHandler, connections).real(alias))


def is_read_only_for_sure(alias: str) -> bool:
    """Tell whether the alias of a refusal, a writer's or a twin's, is read-only by us: where in doubt, ask."""
    writer = conf.writers().get(alias, alias)
    if not mode.is_read_only(writer) and mode.follows():
        mode.loosen(writer)
        wrapper = cast(PairedConnectionHandler, connections).own(writer)
        if (
            wrapper is not None
            and wrapper.connection is not None
            and not (_in_event_loop() or wrapper.in_atomic_block)
        ):
            with suppress(DatabaseError, ReadOnlyRouterError), wrapper.wrap_database_errors:
                following.ask(writer, wrapper.connection)
    return mode.is_read_only(writer)


def any_read_only() -> bool:
    """Tell whether any writer's alias may lead to its twin here and now."""
    if not mode.follows():
        return mode.is_read_only()
    return any(resolve(alias) != alias for alias in conf.twins())


def is_read_only(alias: str = DEFAULT_DB_ALIAS) -> bool:
    """Tell whether a writer's alias leads to its twin here and now."""
    resolve(alias)
    return mode.is_read_only(alias)


def get_status(alias: str = DEFAULT_DB_ALIAS) -> Status:
    """Return the mode of a writer's alias with its source, reason, start and expected end.

    In normal mode it sends nothing to PostgreSQL: the news is on the open connection already.
    """
    resolve(alias)
    return mode.get_status(alias)


def end_fenced_sessions() -> None:
    """Close this thread's sessions of writers that began read-only under the switch: they stay so."""
    for wrapper in connections.all(initialized_only=True):
        if isinstance(wrapper, Writer) and wrapper.is_fenced and not _in_event_loop():
            wrapper.retire()


def end_written_sessions() -> None:
    """Close this thread's sessions that were opened to write although the switch is on."""
    for wrapper in connections.all(initialized_only=True):
        if isinstance(wrapper, Writer) and wrapper.writes_through_the_switch:
            wrapper.retire()


# -- following the switch

# How often a thread looks for news, at most; a look costs a few microseconds.
LOOK_SECONDS = 0.001


class _Thread(threading.local):
    """When this thread last looked for news of a writer's alias, and whose own connection served it then."""

    def __init__(self) -> None:
        self.looked: dict[str, float] = {}
        self.served: dict[str, str] = {}


_thread = _Thread()


def _follow(alias: str, twin: str) -> None:
    """Take the news from the connection that serves the alias, never within a transaction."""
    now = time.monotonic()
    if now - _thread.looked.get(alias, 0.0) < LOOK_SECONDS or (held.wrappers and (holds(alias) or holds(twin))):
        return
    _thread.looked[alias] = now
    handler = cast(PairedConnectionHandler, connections)
    serving = twin if mode.is_read_only(alias) else alias
    wrapper = handler.own(serving)
    if wrapper is None or wrapper.connection is None:
        if serving == twin and following.due(alias):
            # The query to come needs the connection anyhow, and would be refused were the switch off by now.
            _connect(handler.real(twin))
    elif not following.look(alias, wrapper.connection) and not _in_event_loop():
        # It ended while nobody used it: by the drain, a restart. The new session knows how things stand.
        wrapper.close()
        mode.loosen(alias)
        cast(PairMember, wrapper).ended = True
        _connect(wrapper)
    serving = twin if mode.is_read_only(alias) else alias
    if _thread.served.get(alias, alias) != serving:
        _leave(handler.own(alias if serving == twin else twin), alias, serving)


def _leave(left: BaseDatabaseWrapper | None, alias: str, serving: str) -> None:
    """Close the session that the switch left behind in this thread, now or as soon as it can be."""
    if left is None or _in_event_loop() or cast(PairMember, left).retire():
        _thread.served[alias] = serving


def _connect(wrapper: BaseDatabaseWrapper) -> None:
    # What keeps it from connecting is raised by the query that follows, where it is expected.
    if _in_event_loop():
        return
    with suppress(DatabaseError, ReadOnlyRouterError):
        wrapper.ensure_connection()
    if wrapper.connection is None and wrapper.alias in conf.twins() and mode.follows():
        cast(PairedConnectionHandler, connections).told_by_twin(wrapper.alias)


def _in_event_loop() -> bool:
    """Tell whether this is asynchronous code, in which Django allows no query."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def open_transactions() -> list[str]:
    """Return the writer aliases through which this thread has a transaction open, on either connection."""
    return [writer for writer, twin in conf.twins().items() if holds(writer) or holds(twin)]


def writer_transactions() -> list[str]:
    """Return the aliases of the writers on which this thread has a transaction open."""
    return [writer for writer in conf.twins() if holds(writer)]
