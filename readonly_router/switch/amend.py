"""Replaces the reason and the expected end of a switch that is on: windows run late."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..errors import SwitchError
from ..roles.catalog import marks
from . import events, flip
from .spec import Operator, Tell, print_nothing
from .targets import in_one_line
from .throws import Databases, Throw, thrown


def amend_switch(
    databases: Databases = None,
    *,
    reason: str = "",
    eta: datetime | None = None,
    by: str = "",
    admin: Mapping[str, Any] | None = None,
    tell: Tell = print_nothing,
) -> tuple[str, ...]:
    """Replace what is given and keep what is not; return the aliases. Raises SwitchError where it is off."""
    with in_one_line(), thrown(databases, admin, tell) as throws:
        for throw in throws:
            if not throw.state.read_only:
                raise SwitchError(f"'{throw.target.alias}' is not switched read-only; run read_only on first.")
        for throw in throws:
            amend(throw, Operator.here(by), reason=reason, eta=eta)
        return tuple(throw.target.alias for throw in throws)


def amend(throw: Throw, operator: Operator, *, reason: str, eta: datetime | None) -> bool:
    """Note it as an event of its own and have every process read it; return whether anything was replaced.

    The setting is written once more as it is spelt: its mark stays, but its row is a new one, so that also
    processes to which nothing is pushed read the event again.
    """
    state, target = throw.state, throw.target
    reason, eta = reason or state.reason, eta or state.eta
    if (reason, eta) == (state.reason, state.eta):
        return False
    if target.server is None:
        raise SwitchError(
            f"The login of '{target.alias}' is fenced with NOLOGIN, so nobody can note another reason or end; it "
            "stays as it is until read_only off."
        )
    with throw.connection.transaction():
        log = events.required(throw.log, target)
        events.write(log, target, "amended", operator, roles=state.fenced, reason=reason, eta=eta)
        marked = marks(throw.connection)
        flip.mark(throw.connection, {role: marked[role] for role in state.fenced})
        flip.tell(throw.connection)
    throw.tell("the reason and the expected end are replaced")
    return True
