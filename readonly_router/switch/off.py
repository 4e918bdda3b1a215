"""Opens again: the settings first, then the sessions that began read-only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import conf
from ..errors import SwitchError
from . import flip, preflight
from .catalog import Connection
from .drain import renew
from .mark import SETTING
from .spec import Opened, Operator, State, Target, Tell, print_nothing
from .targets import begins_read_only
from .throws import Databases, Throw, thrown, told_in_one_line, wait_seconds


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
    with told_in_one_line(), thrown(databases, admin, tell) as throws:
        for throw in throws:
            preflight.accepted_off(throw.connection, throw.target, throw.state)
        for throw in throws:
            if not (throw.state.read_only or throw.state.gone):
                _complete(throw, grace=wait)
                continue
            open_again(
                throw.connection,
                throw.target,
                throw.state,
                Operator.here(by),
                tell=throw.tell,
                reason=reason,
                grace=wait,
            )
            throw.tell("switched off" if (kept := _is_kept(throw.target)) else "writable again")
            (closed if kept else opened).append(throw.target.alias)
        if closed:
            raise SwitchError(
                f"Switched off, but sessions of '{closed[0]}' still begin read-only, and not by the switch: see "
                f"{SETTING} of the role, the database and the server; it is left to whoever set it."
            )
    return tuple(opened)


def open_again(
    connection: Connection,
    target: Target,
    state: State,
    operator: Operator,
    *,
    tell: Tell,
    kind: str = "off",
    reason: str = "",
    grace: float = 0.0,
) -> None:
    """Take the switch off one writer, and end the sessions that began under it once they are idle."""
    opened = flip.flip_off(
        connection,
        target,
        operator,
        roles=state.fenced,
        logins=state.nologin,
        since=state.since,
        kind=kind,
        reason=reason,
    )
    if opened is not None:
        _finish(connection, opened, grace=grace, tell=tell)


def _finish(connection: Connection, opened: Opened, *, grace: float, tell: Tell) -> None:
    """End the sessions that began read-only once they are idle, name those left, and note that it was done."""
    left = renew(
        connection,
        opened.roles,
        after=opened.after,
        before=opened.before,
        grace=max(grace, 1.5),
        tell=tell,
    )
    for one in left:
        tell(f"still read-only until it connects anew: {one.says()}")
    flip.add_details(connection, opened.event, {"renewed": True})


def _complete(throw: Throw, *, grace: float) -> None:
    """Do what an `off` before did not get as far as to do."""
    # Whoever missed the news looks now: that one may have lost its session over them.
    flip.tell(throw.connection)
    if throw.state.unfinished is None:
        throw.tell("off already: nothing to do")
        return
    throw.tell("off already, but the last one did not end: sessions that began read-only are ended")
    _finish(throw.connection, throw.state.unfinished, grace=grace, tell=throw.tell)


def _is_kept(target: Target) -> bool:
    """Tell whether the writer begins read-only still: what others set is theirs."""
    try:
        return begins_read_only(target, direct=True)
    except SwitchError:
        return False  # it cannot log in at all, which the next request tells
