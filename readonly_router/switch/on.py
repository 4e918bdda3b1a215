"""Throws the switch: look, flip, drain, prove, and undo all of it when one of them fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from .. import advisory, conf
from ..errors import ConfigurationError, DrainError, SwitchError
from ..mark import SETTING, WRITABLE_LOCK
from . import catalog, events, preflight, standing
from .amend import amend
from .drain import Left, drain, force
from .events import Log
from .flip import flip_on
from .receipt import Receipt
from .spec import Accepted, Operator, Order, State, Target, Tell, print_nothing
from .targets import begins_read_only, in_one_line
from .throws import Databases, Throw, thrown, wait_seconds
from .undo import UndoneInterrupt, undo
from .waits import refuse_unconfirmed


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
    accept_unreadable: bool = False,
    by: str = "",
    show_queries: bool = False,
    admin: Mapping[str, Any] | None = None,
    tell: Tell = print_nothing,
) -> tuple[Receipt, ...]:
    """Switch writers read-only, wait until nobody can write any more, and return a receipt for each.

    `databases` are writer aliases, by default every pair; it is all or nothing. Durations are seconds or texts
    like "5m". Where the switch was on and proved already, the receipt is the one of then, and a reason or an eta
    replaces the one that was told. Raises DrainError with the sessions that held out, and SwitchError for whatever
    else is in the way; then nothing has changed.
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
        accept_unreadable=accept_unreadable,
        show_queries=show_queries,
    )
    with in_one_line(), thrown(databases, admin, tell, commit=order.deadline) as throws:
        return _switch_on(throws, order)


def preview(
    databases: Databases = None,
    *,
    fence: str | None = None,
    writers: Iterable[str] = (),
    accept_unreadable: bool = False,
    admin: Mapping[str, Any] | None = None,
) -> tuple[State, ...]:
    """Return how each writer's switch stands; raise SwitchError where `switch_on` would refuse."""
    order = Order(
        operator=Operator.here(),
        fence=_fence(fence),
        writers=tuple(writers),
        accept_unreadable=accept_unreadable,
    )
    with in_one_line(), thrown(databases, admin, print_nothing) as throws:
        _accepted(throws, order)
        return tuple(throw.state for throw in throws)


@dataclass(frozen=True, kw_only=True)
class Closed:
    """A writer that is switched and to be proved: sessions that began after `at` began read-only."""

    throw: Throw
    accepted: Accepted
    event: int
    fence: str
    at: datetime


def _accepted(throws: list[Throw], order: Order) -> list[Accepted]:
    return [
        preflight.accepted(throw.hands, throw.target, throw.state, throw.log, order, throw.tell)
        for throw in throws
    ]


def _switch_on(throws: list[Throw], order: Order) -> tuple[Receipt, ...]:
    accepted = _accepted(throws, order)
    begun: list[Throw] = []
    receipts: list[Receipt] = []
    try:
        pairs = zip(throws, accepted, strict=True)
        closed = [_flip(throw, found, order, begun.append) for throw, found in pairs]
        # Each has its own deadline, from its own flip.
        return tuple(
            _prove(each, order, receipts.append) if each else _proved(throw, order)
            for throw, each in zip(throws, closed, strict=True)
        )
    except BaseException as error:
        undo(begun, order, error, receipts=receipts)
        if isinstance(error, KeyboardInterrupt):
            raise UndoneInterrupt from error
        raise


def _flip(throw: Throw, accepted: Accepted, order: Order, begin: Callable[[Throw], None]) -> Closed | None:
    """Switch a writer, which an undo opens again from `begin` on; None where it is on and proved."""
    state, log, roles = throw.state, events.required(throw.log, throw.target), accepted.roles
    if state.proved:
        return None
    if state.read_only:
        # An earlier command did not live to prove it: this one does, and undoes it where it cannot.
        throw.tell(f"on already since {_clock(state.since)}, but not proved: proving it now")
        event = state.event or _write_lost(throw, log, roles, order)
        begin(throw)
        if state.event:
            amend(throw, order.operator, reason=order.reason, eta=order.eta)
        at, fence = catalog.server_time(throw.connection), "login" if state.nologin else "settings"
        return Closed(throw=throw, accepted=accepted, event=event, fence=fence, at=at)
    begin(throw)
    event, at = flip_on(throw.connection, log, throw.target, order, roles)
    refuse_unconfirmed(throw.waits, throw.target.alias)
    throw.tell(f"new sessions of {_names(roles)} begin read-only")
    return Closed(throw=throw, accepted=accepted, event=event, fence=order.fence, at=at)


def _write_lost(throw: Throw, log: Log, roles: tuple[str, ...], order: Order) -> int:
    """Write the event that a switch which is on has lost, so that the receipt has its place."""
    return events.write(
        log,
        throw.target,
        "on",
        order.operator,
        roles=roles,
        reason=order.reason,
        eta=order.eta,
        details={"fence": "settings", "nologin": ()},
    )


def _proved(throw: Throw, order: Order) -> Receipt:
    """Return the receipt of a switch that is on and proved."""
    throw.tell(f"on already since {_clock(throw.state.since)}")
    if not amend(throw, order.operator, reason=order.reason, eta=order.eta):
        throw.tell("nothing to do")
    return stored_receipt(throw.log, throw.target)


def _prove(closed: Closed, order: Order, keep: Callable[[Receipt], None]) -> Receipt:
    throw, roles, own = closed.throw, closed.accepted.roles, frozenset(closed.throw.own)
    left, ended = drain(throw.connection, roles, closed.at, order, own, throw.tell)
    if not left.drained and order.force:
        left, more = force(throw.connection, roles, closed.at, left, own, throw.tell)
        ended += more
    if not left.drained:
        raise _missed(throw, left, order)
    throw.tell(f"drained: {ended} sessions ended, none left that could write")
    if closed.fence == "settings":
        _try_the_door(throw.target)
    receipt = _receipt(closed, order, ended=ended, keep=keep)
    refuse_unconfirmed(throw.waits, throw.target.alias)
    advisory.unlock(throw.connection, WRITABLE_LOCK)
    throw.tell("receipt written")
    return receipt


def _missed(throw: Throw, left: Left, order: Order) -> DrainError:
    # Any login may take the lock that a writable() takes, the twin's too.
    names = left.says(show_queries=order.show_queries) or (
        advisory.describe_holders(throw.connection, WRITABLE_LOCK),
    )
    return DrainError.of(
        f"'{throw.target.alias}' was not drained within {order.deadline:g} s, so the switch was undone; "
        f"{len(names)} held out. End them, or give --deadline, or --force.",
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


def _receipt(closed: Closed, order: Order, *, ended: int, keep: Callable[[Receipt], None]) -> Receipt:
    """Write the receipt with its event, so that nothing, itself included, was written after what it says.

    Where others (autovacuum, other databases) take transaction ids at the same moment it is written again; after
    some rounds it stays, and verify tells of the ids that moved. Each goes to `keep` before it is written.
    """
    throw, roles = closed.throw, closed.accepted.roles
    state, log = throw.state, events.required(throw.log, throw.target)
    reader = str(throw.target.twin.get("user", ""))
    uncovered, superusers = catalog.unfenced(throw.connection, (*roles, reader))
    for _ in range(_ROUNDS):
        horizon = standing.horizon(throw.hands, log)
        with log.session.transaction():
            own = catalog.own_transaction(log.session)
            now = catalog.server_time(log.session)
            receipt = Receipt(
                alias=throw.target.alias,
                horizon=replace(horizon, next_xid=own + 1),
                roles=roles,
                fence=closed.fence,
                uncovered=uncovered,
                superusers=superusers,
                switched_at=state.since or closed.at,
                proved_at=now,
                ended=ended,
                event=closed.event,
                by=order.operator.by,
                os_user=order.operator.os_user,
                host=order.operator.host,
                reason=order.reason or state.reason,
                eta=order.eta or state.eta,
                reads_from=closed.accepted.reads_from,
            )
            keep(receipt)
            events.write_receipt(log, receipt)
        if horizon.next_xid == own and standing.place(log.session).next_xid == own + 1:
            break
    return receipt


def stored_receipt(log: Log | None, target: Target) -> Receipt:
    """Return the receipt kept with the switch that is on."""
    event = events.last(log) if log is not None else None
    if event is None or event.receipt is None:
        raise SwitchError(f"No receipt is kept for '{target.alias}'; name the file that read_only on wrote.")
    return Receipt.from_json(json.dumps(event.receipt))


def _fence(asked: str | None) -> str:
    wanted = conf.fence() if asked is None else asked
    if wanted not in {"settings", "login"}:
        raise ConfigurationError(f"fence={wanted!r} is not understood; it is 'settings' or 'login'.")
    return wanted


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _clock(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S %Z}" if at else "an unknown time"
