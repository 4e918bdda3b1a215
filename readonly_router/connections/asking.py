"""Whether the site is read-only, for who asks: where nothing is known of the switch yet it is asked for, once."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections

from .. import conf, mode
from ..durations import NEVER
from ..following import followers
from ..following.watch import can_tell
from ..logins import one_line
from ..mode import Status
from .handler import PairedConnectionHandler, resolve
from .held import holds
from .moving import in_event_loop

logger = logging.getLogger("readonly_router")

# When a writer's switch was asked for in vain.
_unanswered: dict[str, float] = {}
# The writers whose switch was said to be unknown.
_said: set[str] = set()


def is_read_only(alias: str = DEFAULT_DB_ALIAS) -> bool:
    """Return whether a writer's alias leads to its twin here and now.

    False where that is not known and cannot be asked: the alias leads to the writer then, and if the switch is on
    PostgreSQL refuses. `get_status().known` tells the two apart.
    """
    _find_out(alias)
    return mode.is_read_only(alias)


def get_status(alias: str = DEFAULT_DB_ALIAS) -> Status:
    """Return the mode of a writer's alias with its source, reason, start and expected end.

    A process asks PostgreSQL once, where nothing is known yet; later the news is on the open connection already.
    """
    known = _find_out(alias)
    status = mode.get_status(alias)
    return status if known else replace(status, known=False)


def _find_out(alias: str) -> bool:
    """Take the news, ask where nothing is known yet, and return whether the mode is known."""
    resolve(alias)
    if not mode.follows() or alias not in conf.twins() or (follower := followers.of(alias)).is_known:
        return True
    if follower.clock() - _unanswered.get(alias, NEVER) >= follower.ask_seconds:
        _say_unknown(alias, _ask(alias))
    if mode.switch(alias) is not None:
        # A request that was pinned before anything was known.
        mode.loosen(alias)
    return follower.is_known


def _ask(alias: str) -> str:
    """Ask on a session of the writer's, or as the twin where it cannot log in; return why that failed."""
    if in_event_loop():
        return "asynchronous code may not ask: use sync_to_async"
    handler = cast(PairedConnectionHandler, connections)
    wrapper = handler.real(alias)
    if holds(alias) or wrapper.in_atomic_block:
        return "a transaction is open"
    try:
        _ask_on(wrapper, alias)
    except OperationalError as error:
        handler.told_by_twin(alias)
        return one_line(error)
    except Exception as error:  # noqa: BLE001 - whatever keeps it from asking is said: tests may forbid queries
        return one_line(error)
    return ""


def _ask_on(wrapper: Any, alias: str) -> None:
    with wrapper.wrap_database_errors:
        # A new session tells, or is asked as it connects.
        wrapper.ensure_connection()
        if not followers.of(alias).is_known and can_tell(wrapper.connection):
            followers.of(alias).ask(wrapper.connection)


def _say_unknown(alias: str, why: str) -> None:
    if followers.of(alias).is_known:
        _said.discard(alias)
        return
    _unanswered[alias] = followers.of(alias).clock()
    if alias not in _said:
        _said.add(alias)
        logger.warning(
            "Whether '%s' is switched read-only is not known yet (%s); is_read_only() says no until it is.",
            alias,
            why or "its driver does not tell",
        )


def forget() -> None:
    """Know of no question; for tests."""
    _unanswered.clear()
    _said.clear()
