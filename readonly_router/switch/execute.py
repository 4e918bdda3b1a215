"""Runs one management command through the switch, and records that it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management import ManagementUtility

from .. import conf
from ..errors import SwitchError
from ..scopes import writable
from .flip import add_details, write_event
from .spec import Operator, Target
from .targets import session, target_for
from .throws import refuse_locked, told_in_one_line


def execute(command: Sequence[str], *, by: str = "", admin: Mapping[str, Any] | None = None) -> int:
    """Run a management command inside `writable()` and return its exit status.

    The command, not its output, is kept in the audit events of every pair, with its status afterwards.
    """
    if not command:
        raise SwitchError("Name the command to run: read_only exec -- migrate shop.")
    refuse_locked()
    targets = [target_for(alias, admin=admin) for alias in conf.twins()]
    operator = Operator.here(by)
    events = [(target, _record(target, operator, command)) for target in targets]
    status = 1
    try:
        status = _run(command)
    finally:
        for target, event in events:
            _complete(target, event, status)
    return status


def _record(target: Target, operator: Operator, command: Sequence[str]) -> int:
    with session(target) as connection, told_in_one_line():
        return write_event(connection, target, "exec", operator, details={"command": list(command)})


def _complete(target: Target, event: int, status: int) -> None:
    with session(target) as connection, told_in_one_line():
        add_details(connection, event, {"status": status})


def _run(command: Sequence[str]) -> int:
    with writable():
        try:
            ManagementUtility(["manage.py", *command]).execute()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
