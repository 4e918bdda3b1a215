"""Takes the role away: its sessions, what it was granted here, and the role, or nothing of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from .. import advisory
from ..errors import ProvisioningError
from ..mark import SWITCH_LOCK
from . import acl, catalog
from .apply import apply, only_run
from .plan import plan_drop
from .provision import Tell, print_nothing
from .questions import Questions
from .spec import Actor, Role, RoleState
from .targets import Target, sessions_of

# How long the role's sessions may take to end.
END_SECONDS = 10.0


def drop(target: Target, *, force: bool = False, tell: Tell = print_nothing) -> tuple[int, bool]:
    """Take back everything the role was granted in this database, then drop it.

    Returns the statements run, and whether the role is gone: it stays while another database needs it.
    """
    with sessions_of(target) as sessions, only_run(sessions[Actor.ADMIN], target.role):
        admin, role = sessions[Actor.ADMIN], target.role
        state = catalog.inspect(admin, role)
        if state.role is None:
            return 0, False
        _refuse(admin, target, state)
        _refuse_while_switched(admin, target)
        elsewhere = catalog.other_databases(admin, role)
        with _ended_sessions(admin, role, force=force, tell=tell) as kept_out:
            ask = Questions(admin, role)
            defaults = acl.default_grants(ask)[ask.server["role_oid"]]
            plan = plan_drop(role, acl.grants_held(ask), defaults, elsewhere=bool(elsewhere))
            count, _ = apply(sessions, plan.statements, tell)
        if elsewhere:
            if kept_out:
                # The site of that database reads as it.
                _set_login(admin, role, "LOGIN")
            tell(f"keep role {role.name}: it holds privileges in database {elsewhere[0]} too")
        return count, not elsewhere


def _refuse(admin: psycopg.Connection[Any], target: Target, state: RoleState) -> None:
    name, found = target.role.name, state.role
    if state.in_recovery:
        raise ProvisioningError("The server is a standby; run this against its primary (--admin-url).")
    if name == target.role.writer:
        raise ProvisioningError(f"Role '{name}' is the writer itself; it is not dropped.")
    if found is not None and found.owns:
        raise ProvisioningError(f"Role '{name}' owns {found.owns[0]}; reassign it first.")
    if dependents := catalog.dependents(admin, target.role):
        raise ProvisioningError(f"Role '{name}' is needed by {dependents[0]}; drop or alter that first.")
    if found is not None and not (state.superuser or found.alterable):
        raise ProvisioningError(
            f"Role '{state.admin}' may not drop role '{name}'; name one that may (--admin-url)."
        )


def _refuse_while_switched(admin: psycopg.Connection[Any], target: Target) -> None:
    """Raise ProvisioningError while the whole site reads as the role; until the end nobody switches."""
    if not advisory.try_lock(admin, SWITCH_LOCK):
        raise ProvisioningError(
            f"A read_only command is at work on '{target.writer_alias}' "
            f"({advisory.describe_holders(admin, SWITCH_LOCK)}); wait for it and run this again."
        )
    if catalog.marks(admin).keys() & {target.role.writer, target.role.login}:
        raise ProvisioningError(
            f"'{target.writer_alias}' is switched read-only, and the whole site reads as role "
            f"'{target.role.name}'; run manage.py read_only off first. --force does not change that."
        )


@contextmanager
def _ended_sessions(admin: psycopg.Connection[Any], role: Role, *, force: bool, tell: Tell) -> Iterator[bool]:
    """End the role's sessions, keep it out for that, and let it in again where the block fails."""
    count = catalog.sessions_of(admin, role)
    if not count:
        yield False
        return
    if not force:
        raise ProvisioningError(
            f"Role '{role.name}' is in use by {count} sessions; end them, or drop it with --force."
        )
    tell(f"end {count} sessions of role {role.name}")
    # The site reconnects: first the door, then those inside.
    _set_login(admin, role, "NOLOGIN")
    try:
        _terminate(admin, role)
        yield True
    except BaseException:
        _set_login(admin, role, "LOGIN")
        raise


def _terminate(admin: psycopg.Connection[Any], role: Role) -> None:
    deadline = time.monotonic() + END_SECONDS
    while catalog.sessions_of(admin, role):
        if time.monotonic() > deadline:
            raise ProvisioningError(f"Sessions of role '{role.name}' do not end; nothing was revoked.")
        try:
            catalog.end_sessions(admin, role)
        except psycopg.errors.InsufficientPrivilege:
            raise ProvisioningError(
                f"The admin may not end sessions of role '{role.name}' (needs pg_signal_backend or membership); "
                "nothing was changed. Stop the site's read-only processes, or name a superuser with --admin-url."
            ) from None
        time.sleep(0.05)


def _set_login(admin: psycopg.Connection[Any], role: Role, login: str) -> None:
    admin.execute(sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(role.name), sql.SQL(login)))
