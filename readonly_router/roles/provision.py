"""Provisioning from end to end: inspect, refuse or plan, apply in order, prove. Composes the modules beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from ..errors import ProvisioningError
from . import catalog, logins
from .apply import Sessions, apply, only_run, wait_for_older_transactions
from .hardening import plan_hardening, public_powers
from .plan import as_dba, plan_drop, plan_role, refusals, undo_defaults
from .prove import prove
from .spec import Actor, Plan, Power, Proof, Role, RoleState
from .statements import BATCH
from .targets import Target, target_for

Tell = Callable[[str], None]


def print_nothing(_line: str) -> None:
    """Tell nobody."""


# How long a run waits for transactions older than the default privileges, and a standby for what was granted.
WAIT_SECONDS = 30.0
# How long a dropped role's sessions may take to end.
END_SECONDS = 10.0
ROUNDS = 20


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run did and proved; `late` are transactions that may still create unreadable tables."""

    target: Target
    statements: int
    plan: Plan
    proof: Proof | None = None
    late: tuple[str, ...] = ()
    hardening: Plan = field(default_factory=Plan)

    @property
    def holds(self) -> bool:
        return self.proof is not None and self.proof.holds and not self.late


# -- reading: what would be done, and whether all is well


def preview(target: Target, *, harden: bool = False, dba: bool = False) -> tuple[RoleState, Plan, Plan]:
    """Return the state, the plan and the hardening's plan; changes nothing. Raises what would be refused."""
    with _sessions(target) as sessions:
        return _preview(target, sessions, harden=harden, dba=dba)


def check(target: Target) -> Report:
    """Return the drift as a report whose plan is what a run would do; changes nothing."""
    with _sessions(target) as sessions:
        state, plan, _ = _preview(target, sessions)
        proof = _proof(target, sessions) if state.role is not None else None
        return Report(target=target, statements=0, plan=plan, proof=proof)


def _preview(
    target: Target, sessions: Sessions, *, harden: bool = False, dba: bool = False
) -> tuple[RoleState, Plan, Plan]:
    state = catalog.inspect(sessions[Actor.ADMIN], target.role)
    state = as_dba(state) if dba else state
    for reason in refusals(target.role, state):
        raise ProvisioningError(reason)
    hardening = _hardening(target, sessions, dba=dba) if harden else Plan()
    return state, plan_role(target.role, state), hardening


def _hardening(target: Target, sessions: Sessions, *, dba: bool = False) -> Plan:
    admin, role = sessions[Actor.ADMIN], target.role
    public = catalog.public_grants(admin, role)
    if dba:
        public = tuple(replace(grant, actor=Actor.ADMIN) for grant in public)
    return plan_hardening(public, catalog.default_grants(admin, role, public=True))


# -- acting


def provision(target: Target, *, harden: bool = False, tell: Tell = print_nothing) -> Report:
    """Make the role what is wanted, then log in as it and prove it. Running it again changes nothing."""
    with _sessions(target) as sessions, only_run(sessions[Actor.ADMIN], target.role):
        state, plan, _ = _preview(target, sessions)
        if state.role is not None and not target.role.rotate:
            _refuse_wrong_password(target)
        count, plan = _converge(target, sessions, tell)
        settled = replace(target, role=replace(target.role, rotate=False))
        late: tuple[str, ...] = ()
        if count:
            late = wait_for_older_transactions(sessions[Actor.ADMIN], seconds=WAIT_SECONDS, tell=tell)
            more, plan = _converge(settled, sessions, tell)
            count += more
        hardening = Plan()
        if harden:
            hardening = _hardening(target, sessions)
            count += apply(sessions, hardening.statements, tell)[0]
            # Roles that PUBLIC let create hold that by name now, and so have default privileges to set.
            state = catalog.inspect(sessions[Actor.ADMIN], target.role)
            hardening = replace(hardening, undo=(*hardening.undo, *undo_defaults(target.role, state)))
            more, plan = _converge(settled, sessions, tell)
            count += more
        proof = _proof(target, sessions)
        return Report(target=target, statements=count, plan=plan, proof=proof, late=late, hardening=hardening)


def _converge(target: Target, sessions: Sessions, tell: Tell) -> tuple[int, Plan]:
    """Apply the plan; where objects of it are gone meanwhile, plan again, in smaller batches each time."""
    count = 0
    for attempt in range(ROUNDS):
        state = catalog.inspect(sessions[Actor.ADMIN], target.role)
        plan = plan_role(target.role, state, batch=max(1, BATCH >> attempt))
        with _with_twin(target, sessions, plan) as all_sessions:
            ran, stale = apply(all_sessions, plan.statements, tell)
        count += ran
        if not stale:
            return count, plan
    raise ProvisioningError("Objects keep disappearing while they are granted; run this again when that is over.")


@contextmanager
def _with_twin(target: Target, sessions: Sessions, plan: Plan) -> Iterator[Sessions]:
    """Add the twin's own session where the plan needs it: a role may change its own settings."""
    if not any(statement.actor is Actor.TWIN for statement in plan.statements):
        yield sessions
        return
    with logins.session(f"the twin '{target.twin_alias}'", target.twin_on_primary) as twin:
        twin.execute("SET default_transaction_read_only = off")
        yield {**sessions, Actor.TWIN: twin}


def _refuse_wrong_password(target: Target) -> None:
    try:
        logins.connect(f"the twin '{target.twin_alias}'", target.twin_on_primary).close()
    except ProvisioningError as error:
        raise ProvisioningError(
            f"{error} Role '{target.role.name}' exists: correct the password in "
            f"DATABASES['{target.twin_alias}'], or set it on the role with --rotate-password."
        ) from None


def drop(target: Target, *, force: bool = False, tell: Tell = print_nothing) -> int:
    """Take back everything the role was granted in this database, then drop it; return the statements run."""
    with _sessions(target) as sessions, only_run(sessions[Actor.ADMIN], target.role):
        admin, role = sessions[Actor.ADMIN], target.role
        state = catalog.inspect(admin, role)
        if state.role is None:
            return 0
        _refuse_drop(target, state)
        _end_sessions(admin, role, force=force, tell=tell)
        elsewhere = catalog.other_databases(admin, role)
        plan = plan_drop(
            role,
            catalog.grants_held(admin, role),
            catalog.default_grants(admin, role),
            elsewhere=bool(elsewhere),
        )
        count, _ = apply(sessions, plan.statements, tell)
        if elsewhere:
            tell(f"keep role {role.name}: it holds privileges in database {elsewhere[0]} too")
        return count


def _refuse_drop(target: Target, state: RoleState) -> None:
    name, found = target.role.name, state.role
    if state.in_recovery:
        raise ProvisioningError("The server is a standby; run this against its primary (--admin-url).")
    if name == target.role.writer:
        raise ProvisioningError(f"Role '{name}' is the writer itself; it is not dropped.")
    if found is not None and found.owns:
        raise ProvisioningError(f"Role '{name}' owns {found.owns[0]}; reassign it first.")
    if found is not None and not (state.superuser or found.alterable):
        raise ProvisioningError(
            f"Role '{state.admin}' may not drop role '{name}'; name one that may (--admin-url)."
        )


def _end_sessions(admin: psycopg.Connection[Any], role: Role, *, force: bool, tell: Tell) -> None:
    if count := catalog.sessions_of(admin, role):
        if not force:
            raise ProvisioningError(
                f"Role '{role.name}' is in use by {count} sessions; end them, or drop it with --force."
            )
        tell(f"end {count} sessions of role {role.name}")
        catalog.end_sessions(admin, role)
    deadline = time.monotonic() + END_SECONDS
    while catalog.sessions_of(admin, role):
        if time.monotonic() > deadline:
            raise ProvisioningError(f"Sessions of role '{role.name}' do not end; nothing was revoked.")
        time.sleep(0.05)


# -- sessions and proof


@contextmanager
def _sessions(target: Target) -> Iterator[Sessions]:
    who = f"the writer '{target.writer_alias}'"
    if target.own_admin:
        with logins.session(who, target.writer, role=target.assumed) as writer:
            yield {Actor.ADMIN: writer, Actor.WRITER: writer}
        return
    with logins.session("the admin (--admin-url or DATABASE_ADMIN_URL)", target.admin) as admin:
        _refuse_other_server(target, admin)
        with logins.session(who, target.writer, role=target.assumed) as writer:
            yield {Actor.ADMIN: admin, Actor.WRITER: writer}


def _refuse_other_server(target: Target, admin: psycopg.Connection[Any]) -> None:
    if logins.server_identity(admin) != target.server:
        raise ProvisioningError(
            "--admin-url leads to another server than the writer's login; name the same server."
        )


def _proof(target: Target, sessions: Sessions) -> Proof:
    admin, role = sessions[Actor.ADMIN], target.role
    powers: tuple[Power, ...] = tuple(
        public_powers(catalog.public_grants(admin, role), catalog.default_grants(admin, role, public=True))
    )
    row = admin.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    with _twin_session(target) as twin:
        _wait_for_replay(twin, row[0] if row else "0/0")
        return prove(twin, role, powers)


@contextmanager
def _twin_session(target: Target) -> Iterator[psycopg.Connection[Any]]:
    who = f"the twin '{target.twin_alias}'"
    elsewhere = (target.twin.get("host"), target.twin.get("port")) != (
        target.writer.get("host"),
        target.writer.get("port"),
    )
    deadline = time.monotonic() + (WAIT_SECONDS if elsewhere else 0)
    while True:
        try:
            connection = logins.connect(who, target.twin)
            break
        except ProvisioningError:
            # A standby learns of the role when it has replayed that far.
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.2)
    with connection:
        yield connection


def _wait_for_replay(twin: psycopg.Connection[Any], lsn: str) -> None:
    query = "SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= %s::pg_lsn"
    deadline = time.monotonic() + WAIT_SECONDS
    while not (twin.execute(query, [lsn]).fetchone() or (False,))[0]:
        if time.monotonic() >= deadline:
            raise ProvisioningError(
                "The twin's standby lags behind; run this again with --check when it caught up."
            )
        time.sleep(0.1)


__all__ = ["Report", "Target", "check", "drop", "preview", "provision", "target_for"]
