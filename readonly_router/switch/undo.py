"""Undoes an `on` that failed: what this command closed is opened again, and nothing of another command."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace

import psycopg

from .. import advisory
from ..errors import SwitchError
from ..logins import one_line
from ..mark import SWITCH_LOCK, WRITABLE_LOCK
from . import catalog
from .off import UnnotedError, open_again
from .receipt import Receipt
from .spec import Order
from .targets import hands
from .throws import Throw, seen, take_lock


class UndoneInterrupt(KeyboardInterrupt):
    """An interrupt after which nothing is left of what the command had switched."""


def undo(throws: Iterable[Throw], order: Order, cause: BaseException, *, receipts: Iterable[Receipt] = ()) -> None:
    """Open again what this command closed, each of them; say so when that fails too.

    `receipts` are those of this command, whether or not they were committed.
    """
    digests = {receipt.digest for receipt in receipts}
    failed = [failure for throw in throws if (failure := _failed_undo(throw, order, digests))]
    if failed:
        raise SwitchError(
            f"Not undone: {'; '.join(failed)}. The cause: {_cause(cause)}. "
            "See read_only status, then run read_only off, or on again to prove it."
        ) from cause


def _cause(error: BaseException) -> str:
    """Return what an error says, without that the switch was undone."""
    says = one_line(error) or "an interrupt"
    return says.replace(", so the switch was undone", "").replace(" The switch was undone.", "").rstrip(".")


def _failed_undo(throw: Throw, order: Order, digests: set[str]) -> str:
    try:
        _undo_one(throw, order, digests)
    except UnnotedError as error:
        throw.tell(f"undone, but: {one_line(error)}")
    except (psycopg.Error, SwitchError, KeyboardInterrupt) as error:
        return f"'{throw.target.alias}' ({one_line(error) or 'interrupted again'})"
    return ""


def _undo_one(throw: Throw, order: Order, digests: set[str]) -> None:
    with ExitStack() as stack:
        usable = throw if _is_usable(throw) else _renewed(throw, stack)
        advisory.unlock(usable.connection, WRITABLE_LOCK)
        log, state = seen(usable.hands, throw.target, throw.tell, needs_events=False)
        if usable is not throw and state.proved and state.digest not in digests:
            # Its lock went with its session.
            raise SwitchError("another read_only on proved the switch meanwhile, so it stays on")
        if state.read_only or state.gone:
            open_again(replace(usable, log=log, state=state), order.operator, kind="undone")
            throw.tell("undone: writable again")


def _is_usable(throw: Throw) -> bool:
    idle = psycopg.pq.TransactionStatus.IDLE
    sessions = (throw.hands.operator, throw.hands.site)
    return all(not session.closed and session.info.transaction_status == idle for session in sessions)


def _renewed(throw: Throw, stack: ExitStack) -> Throw:
    """Replace sessions that Ctrl-C met at work, or that ended: what they did is over before another looks."""
    before = throw.hands
    for session in (before.operator, before.site):
        session.close()
    after = stack.enter_context(hands(throw.target))
    for pid in dict.fromkeys(before.pids):
        catalog.end_own(after.operator, pid)
    throw.own.update(after.pids)
    if throw.own.isdisjoint(pid for pid, _ in advisory.holders(after.operator, SWITCH_LOCK)):
        take_lock(after.operator, throw.target)
    return replace(throw, hands=after)
