"""Answers about the switch: how it stands, and whether anything was written since a receipt."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import catalog, events, preflight, standing, twin
from .events import Event
from .on import stored_receipt
from .receipt import Receipt, Verdict, compare
from .spec import State, Tell, print_nothing
from .targets import Hands, in_one_line, reading_hands, target_for
from .throws import refuse_locked


def state_of(alias: str, *, admin: Mapping[str, Any] | None = None) -> State:
    """Return how the switch of a writer stands, as PostgreSQL says; raise SwitchError when it cannot be asked.

    Raises ModeError in a process that does not know who the writer is.
    """
    refuse_locked()
    target = target_for(alias, admin=admin)
    with in_one_line(), reading_hands(target) as hands:
        state = preflight.state_of(hands, target, events.log_of(hands.site, target))
        trouble, reads_from = twin.stands(hands, target)
        told = (f"in read-only mode nothing could be read: {trouble}",) if trouble else ()
        return replace(state, twin=trouble, reads_from=reads_from, warnings=(*state.warnings, *told))


def receipt_of(alias: str, *, admin: Mapping[str, Any] | None = None) -> Receipt:
    """Return the receipt that is kept with a switch that is on."""
    target = target_for(alias, admin=admin)
    with in_one_line(), reading_hands(target) as hands:
        return stored_receipt(events.log_of(hands.site, target), target)


def history_of(alias: str, *, limit: int) -> tuple[Event, ...]:
    """Return the last acts on a writer's switch, newest first.

    Not by Django's connection: its queries go where the site's search_path leads.
    """
    target = target_for(alias)
    with in_one_line(), reading_hands(target) as hands:
        return events.latest(events.required(events.log_of(hands.site, target), target), alias, limit=limit)


# Equal ids prove nothing then: others may have taken those that were lost.
_LOST = (
    "this server does not hold the receipt with its event: it was promoted, or restored, as of an earlier moment, "
    "or proved anew, so what it lacks cannot be told"
)


def verify(receipt: Receipt, *, admin: Mapping[str, Any] | None = None, tell: Tell = print_nothing) -> Verdict:
    """Return what was written since the receipt; nothing moved is the proof that nothing was.

    Raises SwitchError where it cannot be told: another server, or one that cannot be reached.
    """
    target = target_for(receipt.alias, admin=admin)
    # The writer's login reads every sequence; fenced off, the twin's does.
    with in_one_line(), reading_hands(target, direct=True) as hands:
        for session in (hands.operator, hands.site):
            preflight.refuse_standby(session, target)
        log = events.log_of(hands.site, target)
        now = standing.horizon(hands, log)
        verdict = compare(receipt.horizon, now)
        if now.timeline != receipt.horizon.timeline and not (log is not None and events.keeps(log, receipt)):
            verdict = replace(verdict, moved=(*verdict.moved, _LOST))
        if not verdict.clean or not (verdict.noted or standing.somebody_writes(hands)):
            return verdict
        # Transaction ids moved or will, and nothing says yet that it was by a write.
        unsettled = _settled(hands, receipt, reading=str(target.twin.get("user", "")), tell=tell)
        return compare(receipt.horizon, standing.horizon(hands, log), unsettled=unsettled)


def _settled(hands: Hands, receipt: Receipt, *, reading: str, tell: Tell) -> tuple[str, ...]:
    """Wait until the server has counted what its sessions wrote; return those of which that is not known."""
    deadline, asked = time.monotonic() + standing.SETTLE_SECONDS, catalog.server_time(hands.operator)
    left = standing.unsettled(hands, since=receipt.proved_at, asked=asked, reading=(reading,))
    if left:
        tell(f"transactions since: waiting until {len(left)} sessions have reported what they wrote")
    while left and time.monotonic() < deadline:
        time.sleep(0.2)
        now = standing.unsettled(hands, since=receipt.proved_at, asked=asked, reading=(reading,))
        # Settled once is settled: what a session writes later is not asked for.
        left = tuple(name for name in left if name in now)
    return left
