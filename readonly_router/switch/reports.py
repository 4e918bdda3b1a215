"""Answers about the switch: how it stands, and whether anything was written since a receipt."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from . import catalog, preflight, standing
from .catalog import Connection
from .on import stored_receipt
from .receipt import Receipt, Verdict, compare
from .spec import State, Tell, print_nothing
from .targets import reading_session, session, target_for
from .throws import refuse_locked, told_in_one_line


def state_of(alias: str, *, admin: Mapping[str, Any] | None = None) -> State:
    """Return how the switch of a writer stands, as PostgreSQL says; raise SwitchError when it cannot be asked.

    Raises ModeError in a process that does not know who the writer is.
    """
    refuse_locked()
    target = target_for(alias, admin=admin)
    with reading_session(target) as connection, told_in_one_line():
        return preflight.state_of(connection, target)


def receipt_of(alias: str, *, admin: Mapping[str, Any] | None = None) -> Receipt:
    """Return the receipt that is kept with a switch that is on."""
    target = target_for(alias, admin=admin)
    with reading_session(target) as connection, told_in_one_line():
        return stored_receipt(connection, target)


def verify(receipt: Receipt, *, admin: Mapping[str, Any] | None = None, tell: Tell = print_nothing) -> Verdict:
    """Return what was written since the receipt; nothing moved is the proof that nothing was.

    Raises SwitchError where it cannot be told: another server, or one that cannot be reached.
    """
    target = target_for(receipt.alias, admin=admin)
    # The writer's login reads every sequence; fenced off, the twin's does.
    opened = session(target) if target.server else reading_session(target, direct=True)
    with opened as connection, told_in_one_line():
        preflight.refuse_standby(connection, target)
        verdict = compare(receipt.horizon, standing.horizon(connection))
        if not verdict.clean or not (verdict.noted or standing.somebody_writes(connection)):
            return verdict
        # Transaction ids moved or will, and nothing says yet that it was by a write.
        unsettled = _settled(connection, receipt, reading=str(target.twin.get("user", "")), tell=tell)
        return compare(receipt.horizon, standing.horizon(connection), unsettled=unsettled)


def _settled(connection: Connection, receipt: Receipt, *, reading: str, tell: Tell) -> tuple[str, ...]:
    """Wait until the server has counted what its sessions wrote; return those of which that is not known."""
    deadline, asked = time.monotonic() + standing.SETTLE_SECONDS, catalog.server_time(connection)
    left = standing.unsettled(connection, since=receipt.proved_at, asked=asked, reading=(reading,))
    if left:
        tell(f"transactions since: waiting until {len(left)} sessions have reported what they wrote")
    while left and time.monotonic() < deadline:
        time.sleep(0.2)
        now = standing.unsettled(connection, since=receipt.proved_at, asked=asked, reading=(reading,))
        # Settled once is settled: what a session writes later is not asked for.
        left = tuple(name for name in left if name in now)
    return left
