"""Throws the switch: look, flip, drain, prove, and undo all of it when one of them fails."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from .. import conf
from ..errors import ConfigurationError, DrainError, SwitchError
from ..roles.logins import first_line
from . import catalog, preflight, standing
from .catalog import Connection
from .drain import Left, drain, force
from .flip import flip_on, write_event, write_receipt
from .mark import SETTING, WRITABLE_LOCK
from .off import open_again
from .receipt import Receipt
from .spec import Operator, Order, State, Target, Tell, print_nothing
from .targets import begins_read_only, session
from .throws import Databases, Throw, thrown, told_in_one_line, wait_seconds


def switch_on(
    databases: Databases = None,
    *,
    reason: str = "",
    eta: datetime | None = None,
    grace: str | float | None = None,
    deadline: str | float | None = None,
    force: bool = False,
    fence: str | None = None,
    writers: Iterable[str] = (),
    by: str = "",
    show_queries: bool = False,
    admin: Mapping[str, Any] | None = None,
    tell: Tell = print_nothing,
) -> tuple[Receipt, ...]:
    """Switch writers read-only, wait until nobody can write any more, and return a receipt for each.

    `databases` are writer aliases, by default every pair; it is all or nothing. Durations are seconds or texts
    like "5m". Where the switch was on and proved already, the receipt is the one of then. Raises DrainError with
    the sessions that held out, and SwitchError for whatever else is in the way; then nothing has changed.
    """
    order = Order(
        operator=Operator.here(by),
        reason=reason,
        eta=eta,
        grace=wait_seconds(conf.grace() if grace is None else grace),
        deadline=wait_seconds(conf.deadline() if deadline is None else deadline),
        force=force,
        fence=_fence(fence),
        writers=tuple(writers),
        show_queries=show_queries,
    )
    with told_in_one_line(), thrown(databases, admin, tell) as throws:
        return _switch_on(throws, order)


def preview(
    databases: Databases = None,
    *,
    fence: str | None = None,
    writers: Iterable[str] = (),
    admin: Mapping[str, Any] | None = None,
) -> tuple[State, ...]:
    """Return how each writer's switch stands; raise SwitchError where `switch_on` would refuse."""
    order = Order(operator=Operator.here(), fence=_fence(fence), writers=tuple(writers))
    with told_in_one_line(), thrown(databases, admin, print_nothing) as throws:
        _accept(throws, order)
        return tuple(throw.state for throw in throws)


def _accept(throws: list[Throw], order: Order) -> None:
    for throw in throws:
        throw.roles = preflight.accepted(throw.connection, throw.target, throw.state, order, throw.tell)


def _switch_on(throws: list[Throw], order: Order) -> tuple[Receipt, ...]:
    _accept(throws, order)
    try:
        for throw in throws:
            _flip(throw, order)
        # Each has its own deadline, from its own flip.
        return tuple(_prove(throw, order) for throw in throws)
    except BaseException as error:
        _undo([throw for throw in throws if throw.flipped], order, error)
        raise


def _flip(throw: Throw, order: Order) -> None:
    state = throw.state
    if state.read_only and state.proved:
        return
    if state.read_only:
        # An earlier command did not live to prove it: this one does, and undoes it where it cannot.
        throw.tell(f"on already since {_clock(state.since)}, but not proved: proving it now")
        throw.event, throw.flipped = state.event or _found(throw, order), True
        throw.fence = "login" if state.nologin else "settings"
        throw.switched_at = catalog.server_time(throw.connection)
        return
    throw.flipped, throw.fence = True, order.fence
    throw.event, throw.switched_at = flip_on(throw.connection, throw.target, order, throw.roles)
    throw.tell(f"new sessions of {_names(throw.roles)} begin read-only")


def _found(throw: Throw, order: Order) -> int:
    """Write the event that a switch which is on has lost, so that the receipt has its place."""
    details = {"fence": "settings", "nologin": ()}
    return write_event(
        throw.connection,
        throw.target,
        "on",
        order.operator,
        roles=throw.roles,
        reason=order.reason,
        eta=order.eta,
        details=details,
    )


def _prove(throw: Throw, order: Order) -> Receipt:
    if not throw.flipped:
        throw.tell(f"on already since {_clock(throw.state.since)}: nothing to do")
        return stored_receipt(throw.connection, throw.target)
    connection, at = throw.connection, throw.switched_at
    assert at is not None  # noqa: S101 - a flipped switch has its time
    left, ended = drain(connection, throw.roles, at, order, throw.tell)
    if not left.drained and order.force:
        left, more = force(connection, throw.roles, at, left, throw.tell)
        ended += more
    if not left.drained:
        raise _missed(throw, left, order)
    throw.tell(f"drained: {ended} sessions ended, none left that could write")
    if throw.fence == "settings":
        _try_the_door(throw.target)
    receipt = _receipt(throw, order, ended=ended)
    catalog.unlock(connection, WRITABLE_LOCK)
    throw.tell("receipt written")
    return receipt


def _missed(throw: Throw, left: Left, order: Order) -> DrainError:
    names = left.says(show_queries=order.show_queries)
    return DrainError.of(
        f"'{throw.target.alias}' was not drained within {order.deadline:g} s, so the switch was undone; "
        f"{len(names) or 'a writable()'} held out. End them, or give --deadline, or --force.",
        sessions=names,
    )


def _try_the_door(target: Target) -> None:
    """Log in the way the site does, and see that the session begins read-only."""
    if not begins_read_only(target):
        raise SwitchError(
            f"DATABASES['{target.alias}'] still begins a writable session ({SETTING} is off: in OPTIONS, or "
            "set by a pooler); remove that, or use --fence login. The switch was undone."
        )


_ROUNDS = 3


def _receipt(throw: Throw, order: Order, *, ended: int) -> Receipt:
    """Write the receipt with its event, so that nothing, itself included, was written after what it says.

    Where others (autovacuum, other databases) take transaction ids at the same moment it is written anew; after
    some rounds it stays, and verify tells of the ids that moved.
    """
    connection, state, at = throw.connection, throw.state, throw.switched_at
    uncovered, superusers = catalog.unfenced(connection, (*throw.roles, str(throw.target.twin.get("user", ""))))
    for _ in range(_ROUNDS):
        horizon = standing.horizon(connection)
        with connection.transaction():
            own = catalog.own_transaction(connection)
            now = catalog.server_time(connection)
            receipt = Receipt(
                alias=throw.target.alias,
                horizon=replace(horizon, next_xid=own + 1),
                roles=throw.roles,
                fence=throw.fence,
                uncovered=uncovered,
                superusers=superusers,
                switched_at=state.since or at or now,
                proved_at=now,
                ended=ended,
                event=throw.event,
                by=order.operator.by,
                os_user=order.operator.os_user,
                host=order.operator.host,
                reason=order.reason or state.reason,
                eta=order.eta or state.eta,
            )
            write_receipt(connection, receipt)
        if horizon.next_xid == own and standing.place(connection).next_xid == own + 1:
            break
    return receipt


def _undo(throws: Iterable[Throw], order: Order, cause: BaseException) -> None:
    """Open again what this command closed, each of them; say so when that fails too."""
    failed = [failure for throw in throws if (failure := _failed_undo(throw, order))]
    if failed:
        raise SwitchError(
            f"Not undone: {'; '.join(failed)}. The cause: {first_line(cause) or 'an interrupt'}. "
            "See read_only status, then run read_only off, or on again to prove it."
        ) from cause


def _failed_undo(throw: Throw, order: Order) -> str:
    try:
        _undo_one(throw, order)
    except (psycopg.Error, SwitchError, KeyboardInterrupt) as error:
        return f"'{throw.target.alias}' ({first_line(error) or 'interrupted again'})"
    return ""


def _undo_one(throw: Throw, order: Order) -> None:
    with ExitStack() as stack:
        connection = throw.connection
        if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            # Ctrl-C met it at work, or it ended: whatever it was doing is over before another looks.
            connection.close()
            connection = stack.enter_context(session(throw.target))
            catalog.end_own(connection, throw.pid)
        catalog.unlock(connection, WRITABLE_LOCK)
        state = preflight.state_of(connection, throw.target)
        if state.read_only:
            open_again(connection, throw.target, state, order.operator, kind="undone", tell=throw.tell)
            throw.tell("undone: writable again")


def stored_receipt(connection: Connection, target: Target) -> Receipt:
    """Return the receipt kept with the switch that is on."""
    table = catalog.events_table(connection)
    event = catalog.last_event(connection, table, target.writer) if table is not None else None
    if event is None or event["receipt"] is None:
        raise SwitchError(f"No receipt is kept for '{target.alias}'; name the file that read_only on wrote.")
    return Receipt.from_json(json.dumps(event["receipt"]))


def _fence(asked: str | None) -> str:
    wanted = conf.fence() if asked is None else asked
    if wanted not in {"settings", "login"}:
        raise ConfigurationError(f"fence={wanted!r} is not understood; it is 'settings' or 'login'.")
    return wanted


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _clock(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S %Z}" if at else "an unknown time"
