"""Runs one management command through the switch, and records that it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management import ManagementUtility

from .. import conf
from ..errors import SwitchError
from ..scopes import writable
from . import events
from .spec import Operator
from .targets import target_for
from .throws import refuse_locked


def execute(command: Sequence[str], *, by: str = "", admin: Mapping[str, Any] | None = None) -> int:
    """Run a management command inside `writable()` and return its exit status.

    The command, not its output, is kept in the audit events of every pair, with its status afterwards.
    """
    if not command:
        raise SwitchError("Name the command to run: read_only exec -- migrate shop.")
    refuse_locked()
    targets = [target_for(alias, admin=admin) for alias in conf.twins()]
    operator, details = Operator.here(by), {"command": list(command)}
    begun = [(target, events.begin(target, "exec", operator, details)) for target in targets]
    status = 1
    try:
        status = _run(command)
    finally:
        ended = [events.complete(target, event, {"status": status}) for target, event in begun]
    if unnoted := next(filter(None, ended), None):
        raise SwitchError(f"The command ended with status {status}, which could not be noted: {unnoted}")
    return status


def _run(command: Sequence[str]) -> int:
    with writable():
        try:
            ManagementUtility(["manage.py", *command]).execute()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
