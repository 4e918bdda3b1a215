"""Opens again: the settings first, then the sessions that began read-only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg

from .. import conf
from ..errors import SwitchError
from ..logins import one_line
from ..mark import SETTING
from . import events, flip, preflight
from .drain import renew
from .events import Log
from .spec import Opened, Operator, Target, Tell, print_nothing
from .targets import begins_read_only, in_one_line
from .throws import Databases, Throw, thrown, wait_seconds


def switch_off(
    databases: Databases = None,
    *,
    reason: str = "",
    by: str = "",
    grace: str | float | None = None,
    admin: Mapping[str, Any] | None = None,
    tell: Tell = print_nothing,
) -> tuple[str, ...]:
    """Open writers again and return the aliases that were switched; those that were writable are left alone.

    What anybody else set is never touched. Sessions that began read-only are ended once they are idle.
    """
    wait = wait_seconds(conf.grace() if grace is None else grace)
    opened: list[str] = []
    closed: list[str] = []
    unnoted: list[str] = []
    with in_one_line(), thrown(databases, admin, tell, needs_events=False) as throws:
        for throw in throws:
            preflight.accepted_off(throw.connection, throw.target, throw.state)
        for throw in throws:
            if others := throw.state.others:
                throw.tell(f"left closed, for no event of this site's tells of them: {', '.join(others)}")
            if not (throw.state.read_only or throw.state.gone):
                _complete(throw, grace=wait)
                continue
            try:
                open_again(throw, Operator.here(by), reason=reason, grace=wait)
            except UnnotedError as error:
                # The others are opened all the same.
                unnoted.append(str(error))
                continue
            throw.tell("switched off" if (kept := _is_kept(throw.target)) else "writable again")
            (closed if kept else opened).append(throw.target.alias)
        if unnoted:
            raise UnnotedError(" ".join(unnoted))
        if closed:
            raise SwitchError(
                f"Switched off, but sessions of '{closed[0]}' still begin read-only, and not by the switch: see "
                f"{SETTING} of the role, the database and the server; it is left to whoever set it."
            )
    return tuple(opened)


def open_again(
    throw: Throw, operator: Operator, *, kind: str = "off", reason: str = "", grace: float = 0.0
) -> None:
    """Take the switch off one writer, and end the sessions that began under it once they are idle."""
    state, log, since = throw.state, throw.log, throw.state.since or throw.state.gone
    with_event = log if log is not None and log.session is throw.connection else None
    flip_off = partial(
        flip.flip_off,
        throw.connection,
        target=throw.target,
        operator=operator,
        roles=state.fenced,
        logins=state.nologin,
        since=since,
        kind=kind,
        reason=reason,
    )
    try:
        opened = flip_off(with_event)
    except psycopg.Error:
        if with_event is None:
            raise
        # What hangs on the table of events, or its absence by now, keeps no off away.
        opened, with_event = flip_off(None), None
    if with_event is not None:
        _finish(throw, with_event, opened, grace=grace)
        return
    # As the site's own login, which may log in again only now.
    with _writing(throw, opened, grace=grace) as site_log:
        event = flip.write_off(
            site_log,
            throw.target,
            operator,
            kind=kind,
            roles=opened.roles,
            since=since,
            reason=reason,
            opened_at=opened.before,
        )
        _finish(throw, site_log, replace(opened, event=event), grace=grace)


@contextmanager
def _writing(throw: Throw, opened: Opened, *, grace: float) -> Iterator[Log]:
    """Return the events of a switch that is off by now, on a session that can write them.

    Where that cannot be, the rest of the off is done without them.
    """
    try:
        with events.writing(throw.target) as log:
            throw.own.add(log.session.info.backend_pid)
            yield log
    except (psycopg.Error, SwitchError) as error:
        _renew(throw, opened, grace=grace)
        raise UnnotedError(
            f"'{throw.target.alias}' is open again, but that could not be noted among its events: "
            f"{one_line(error)} Mend that, and run read_only off again."
        ) from None


class UnnotedError(SwitchError):
    """The switch is off, but its event could not be written."""


def _finish(throw: Throw, log: Log, opened: Opened, *, grace: float) -> None:
    """End the sessions that began read-only once they are idle, name the remaining ones, and note it as done."""
    if _renew(throw, opened, grace=grace):
        events.add_details(log, opened.event, {"renewed": True})


def _renew(throw: Throw, opened: Opened, *, grace: float) -> bool:
    """Do so, where it is known since when they began."""
    if opened.after is None:
        return False
    remaining = renew(
        throw.connection,
        opened.roles,
        after=opened.after,
        before=opened.before,
        grace=max(grace, 1.5),
        own=frozenset(throw.own),
        tell=throw.tell,
    )
    for one in remaining:
        throw.tell(f"still read-only until it connects anew: {one.says()}")
    return True


def _complete(throw: Throw, *, grace: float) -> None:
    """Do what an `off` before did not get as far as to do."""
    # Whoever missed the news looks now: that one may have lost its session over them.
    flip.tell(throw.connection)
    if throw.state.unfinished is None or throw.log is None:
        throw.tell("off already: nothing to do")
        return
    throw.tell("off already, but the last one did not end: sessions that began read-only are ended")
    _finish(throw, throw.log, throw.state.unfinished, grace=grace)


def _is_kept(target: Target) -> bool:
    """Return whether the writer begins read-only still: what others set is theirs."""
    try:
        return begins_read_only(target, direct=True)
    except SwitchError:
        return False  # it cannot log in at all, which the next request tells
