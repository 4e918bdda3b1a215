"""Where an alias leads: in read-only mode the writer's alias resolves to its twin's connection."""

from __future__ import annotations

import math
from asyncio import _get_running_loop
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, cast

from django.core.signals import setting_changed
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler, DatabaseError

from .. import conf, mode
from ..durations import NEVER
from ..errors import ConfigurationError, ReadOnlyRouterError
from ..following import followers
from ..following.watch import can_tell
from . import engines
from .held import Lead, forget_what_is_over, held, holds
from .member import PairMember
from .moving import change_over, connect, follow, has_begun_by_hand, in_event_loop
from .testing import refusing
from .translation import TwinAlias
from .twin import paired
from .twin_sessions import refuse_unsafe_twin
from .writer import Writer


class PairedConnectionHandler(ConnectionHandler):
    """Django's handler, but a writer's alias leads to its twin in read-only mode.

    `connections.__class__` becomes this class once (see `install`), so that every reference anybody already
    holds to `django.db.connections` or `django.db.connection` takes part.
    """

    def __getitem__(self, alias: str, *, by_name: bool = False) -> Any:
        """Return the connection that serves the alias; `by_name`: only whose own that is.

        Nearly always it is where the alias led before: this runs for every query, and calls nothing for it.
        """
        lead, own, open_ones = held.leads.get(alias), mode.apart(), held.wrappers
        if (
            lead is not None
            and lead.generation == (own or mode.generation)
            and (own <= 0 or own == mode.generation)
            and _get_running_loop() is None
            and (
                lead.wrapper.in_atomic_block and [*open_ones.values()] == [lead.wrapper]
                if open_ones
                else monotonic() - lead.looked < lead.follower.look_seconds or lead.follower.is_quiet(lead)
            )
        ):
            if lead.handed is not None:
                held.handed = lead.handed
            return lead.serving if by_name else lead.wrapper
        serving = _conclude(alias)
        return serving if by_name else self.own(serving) or self.real(serving)

    def __setitem__(self, alias: str, wrapper: BaseDatabaseWrapper) -> None:
        held.leads.clear()
        super().__setitem__(alias, wrapper)

    def __delitem__(self, alias: str) -> None:
        held.leads.clear()
        super().__delitem__(alias)

    def own(self, alias: str) -> BaseDatabaseWrapper | None:
        """Return the alias's own connection where this thread has one already."""
        # As above: not in the stubs.
        return getattr(self._connections, alias, None)  # type: ignore[attr-defined]  # Django's thread-local store

    def told_by_twin(self, alias: str) -> bool:
        """Ask as the twin where the writer cannot log in; return whether the switch (`--fence login`) is on."""
        twin = self.real(conf.twins()[alias])
        if cast(PairMember, twin).holds_alias() or twin.alias in conf.replicas() or followers.of(alias).was_denied:
            return mode.is_read_only(alias)
        opened = twin.connection is None
        # Whatever keeps it from asking, as a test that allows the writer alone: the writer's error is told.
        with suppress(Exception), twin.wrap_database_errors:
            twin.ensure_connection()
            if can_tell(twin.connection):
                followers.of(alias).ask(twin.connection)
        if not mode.is_read_only(alias):
            followers.of(alias).deny()
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
    wrapper.creation.__class__ = refusing(cast(Any, type(wrapper.creation)))
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


def _pairs_changed(*, setting: str, **_: Any) -> None:
    """Make members of the wrappers that were made while their alias was in no pair, as a test may have it."""
    if setting != "READONLY_ROUTER_PAIRS" or not isinstance(connections, PairedConnectionHandler):
        return
    with suppress(ConfigurationError):
        for wrapper in connections.all(initialized_only=True):
            if wrapper.alias in conf.twins() or wrapper.alias in conf.writers():
                _adopt(wrapper)


setting_changed.connect(_pairs_changed)


# The alias whose own connection serves an alias here and now. A transaction opened through a writer's alias keeps
# its connection to its end, whatever the mode does meanwhile; only an explicit `writable()` leaves it, for a
# transaction of its own on the writer.
resolve: Callable[[str], str] = partial(cast(Any, PairedConnectionHandler.__getitem__), connections, by_name=True)


def _conclude(alias: str) -> str:
    """Return where the alias leads; keep that where only another generation, or news of one, can move it."""
    held.leads.pop(alias, None)
    forget_what_is_over()
    generation, twin = mode.here(), conf.twins().get(alias)
    serving = _resolve(alias, twin)
    if twin is not None:
        engines.lead(alias, serving)
    elif alias in conf.writers():
        engines.note_name(alias)
    wrapper = cast(PairedConnectionHandler, connections).own(serving)
    follows = twin is not None and mode.follows()
    passing = (
        (generation != mode.here() or not generation or in_event_loop())
        # A transaction keeps it.
        or (twin is not None and mode.is_read_only(alias) != (serving == twin))
        # A session is still to be left, or another than the one that serves carries the news.
        or (
            follows
            and (held.served.get(alias, alias) != serving or alias in held.leaving or serving in conf.replicas())
        )
    )
    if wrapper is not None and not passing:
        held.leads[alias] = Lead(
            serving=serving,
            wrapper=wrapper,
            generation=generation,
            follower=followers.of(alias),
            looked=held.looked.get(alias, NEVER) if follows else math.inf,
            handed="" if twin is None else alias if serving == twin else None,
        )
    return serving


def _resolve(alias: str, twin: str | None) -> str:
    if twin is None:
        held.handed = ""
        return alias
    if mode.follows():
        follow(alias, twin)
        read_only = change_over(alias, twin)
    else:
        read_only = mode.is_read_only(alias)
    if read_only:
        if holds(alias) or has_begun_by_hand(alias, alias):
            return alias
        held.handed = alias
        return twin
    if mode.scope() is None and ((held.wrappers and holds(twin)) or has_begun_by_hand(alias, twin)):
        return twin
    return alias


def meet(alias: str) -> None:
    """Make sure of the mode: where this thread has no session that carries the news, open the writer's."""
    resolve(alias)
    if mode.follows() and not mode.is_read_only(alias):
        connect(cast(PairedConnectionHandler, connections).real(alias))


def is_read_only_for_sure(alias: str) -> bool:
    """Return whether the alias of a refusal, a writer's or a twin's, is read-only by us: where in doubt, ask."""
    writer = conf.writers().get(alias, alias)
    if not mode.is_read_only(writer) and mode.follows():
        mode.loosen(writer)
        wrapper = cast(PairedConnectionHandler, connections).own(writer)
        if (
            wrapper is not None
            and wrapper.connection is not None
            and not (in_event_loop() or cast(PairMember, wrapper).holds_alias())
        ):
            with suppress(DatabaseError, ReadOnlyRouterError), wrapper.wrap_database_errors:
                followers.of(writer).ask(wrapper.connection)
    return mode.is_read_only(writer)


def begin_request() -> None:
    """Let a session of this thread that has ended be replaced once more, as close_old_connections does."""
    held.looked.clear()
    held.leads.clear()
    for wrapper in connections.all(initialized_only=True):
        if isinstance(wrapper, PairMember) and not wrapper.in_atomic_block:
            wrapper.begin_work()
            engines.begin_request(wrapper)


def any_read_only() -> bool:
    """Return whether any writer's alias may lead to its twin here and now."""
    return any(resolve(alias) != alias for alias in conf.twins())


def end_fenced_sessions() -> None:
    """Close this thread's sessions of writers that began read-only under the switch: they stay so."""
    for wrapper in connections.all(initialized_only=True):
        if isinstance(wrapper, Writer) and wrapper.is_fenced and not in_event_loop():
            wrapper.retire()


def end_written_sessions() -> None:
    """Close this thread's sessions that were opened to write although the switch is on."""
    for wrapper in connections.all(initialized_only=True):
        if isinstance(wrapper, Writer) and wrapper.writes_through_the_switch:
            wrapper.retire()


def open_transactions() -> list[str]:
    """Return the writer aliases through which this thread has a transaction open, on either connection."""
    return [writer for writer, twin in conf.twins().items() if holds(writer) or holds(twin)]


def writer_transactions() -> list[str]:
    """Return the aliases of the writers on which this thread has a transaction open."""
    return [writer for writer in conf.twins() if holds(writer)]
