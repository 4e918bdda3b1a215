"""How a thread moves with the switch: it takes the news, and leaves the session that served it for the other."""

from __future__ import annotations

from asyncio import _get_running_loop
from contextlib import suppress
from time import monotonic
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import DatabaseError

from .. import conf, mode
from ..durations import NEVER
from ..errors import ReadOnlyRouterError
from ..following import followers
from ..following.watch import has_ended
from . import along, repeating
from .held import held, holds
from .protocols import Member


def follow(alias: str, twin: str) -> None:
    """Take the news from the connection that serves the alias, never within a transaction."""
    now = monotonic()
    if now - held.looked.get(alias, NEVER) < followers.of(alias).look_seconds:
        return
    if held.wrappers and (holds(alias) or holds(twin)):
        return
    held.looked[alias] = now
    handler = _handler()
    serving = twin if mode.is_read_only(alias) else alias
    # A replica knows nothing of the switch: a session of the writer's, read-only by then, carries the news.
    telling = alias if twin in conf.replicas() else serving
    wrapper = handler.own(telling)
    if wrapper is None or wrapper.connection is None:
        if serving == twin and followers.of(alias).is_due:
            # The query to come needs the connection anyhow, and would be refused were the switch off by now.
            connect(handler.real(telling))
            if telling != serving and handler.real(telling).connection is None:
                followers.of(alias).note_attempt()
    elif not followers.of(alias).look(wrapper.connection) and not in_event_loop():
        held_state = wrapper.used or wrapper.autocommit != wrapper.settings_dict["AUTOCOMMIT"]
        lost = held_state and wrapper.connection is not None and has_ended(wrapper.connection)
        if lost and (mode.is_pinned() or not repeating.has_moved(wrapper, wrapper.connection)):
            return  # what was set on it is gone: each statement says so, to the end of the request
        # It ended by the drain, a restart. The new session knows how things stand.
        wrapper.close()
        mode.loosen(alias)
        wrapper.ended = True
        connect(wrapper)
        if lost:
            repeating.owe(alias, repeating.GONE.format(alias))


def change_over(alias: str, twin: str) -> bool:
    """Return whether the alias is read-only; where that is news, what its session holds goes along.

    The session left behind is closed, now or as soon as it can be. Not in an event loop, which can ask nothing.
    """
    read_only = mode.is_read_only(alias)
    served, serving = held.served.get(alias, alias), twin if read_only else alias
    if in_event_loop() or (held.wrappers and (holds(alias) or holds(twin))) or has_begun_by_hand(alias, served):
        return read_only
    if served != serving:
        left = _handler().own(served)
        held.served[alias] = serving
        held.leaving.pop(alias, None)
        # A transaction that somebody opened there by its own name is not the alias's.
        if left is not None and not left.holds_alias():
            _go_along(alias, left, serving)
        if left is not None:
            held.leaving[alias] = left
    if alias in held.leaving and held.leaving[alias].retire():
        del held.leaving[alias]
    return read_only


def _go_along(alias: str, left: Member, serving: str) -> None:
    """Let what the application set on a session go along; what cannot is said by the next statement, once."""
    state, said = along.state_of(left), left.owes_error
    if state != along.NOTHING:
        member = _handler().real(serving)
        connect(member)
        if lost := along.give(state, member):
            said = along.LEFT.format(alias, ", ".join(lost))
    if said:
        repeating.owe(alias, said)


def connect(wrapper: BaseDatabaseWrapper) -> None:
    """Open a session where that is possible; what keeps it from that is raised by the query that follows."""
    if in_event_loop():
        return
    with suppress(DatabaseError, ReadOnlyRouterError):
        wrapper.ensure_connection()
    if wrapper.connection is None and wrapper.alias in conf.twins() and mode.follows():
        _handler().told_by_twin(wrapper.alias)


def has_begun_by_hand(alias: str, served: str) -> bool:
    """Return whether this thread is still served by one of a pair, within a BEGIN that Django knows nothing of."""
    if not mode.follows() or held.served.get(alias, alias) != served:
        return False
    wrapper = _handler().own(served)
    return bool(wrapper is not None and wrapper.has_begun_by_hand())


def in_event_loop() -> bool:
    """Return whether this is asynchronous code, in which Django allows no query."""
    return _get_running_loop() is not None


def _handler() -> Any:
    # Of our own class by now, which stands above.
    return connections
