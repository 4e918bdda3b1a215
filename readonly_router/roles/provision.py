"""Provisioning from end to end: inspect, refuse or plan, apply in order, prove. Composes the modules beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from .. import logins
from ..errors import ProvisioningError
from ..place import differs, refusal, uncompared
from ..remedies import remedy
from . import catalog
from .apply import Sessions, apply, only_run, wait_for_older_transactions
from .hardening import plan_hardening, public_powers
from .likeness import differences, limits
from .plan import as_dba, plan_role, refusals, undo_defaults
from .prove import prove
from .spec import Actor, Plan, Proof, RoleState
from .statements import BATCH
from .targets import Target, sessions_of, target_for

Tell = Callable[[str], None]


def print_nothing(_line: str) -> None:
    """Tell nobody."""


# How long a run waits for transactions older than the default privileges, and a standby for what was granted.
WAIT_SECONDS = 30.0
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
        kept = any(gap.writes for gap in self.plan.gaps)
        return self.proof is not None and self.proof.holds and not self.late and not kept


# -- reading: what would be done, and whether all is well


def preview(target: Target, *, harden: bool = False, dba: bool = False) -> tuple[RoleState, Plan, Plan]:
    """Return the state, the plan and the hardening's plan; changes nothing. Raises what would be refused."""
    with sessions_of(target) as sessions:
        state = _accepted(target, sessions, dba=dba)
    hardening = plan_hardening(state.public, state.default_public) if harden else Plan()
    if state.role is not None and not dba:
        _refuse_elsewhere(target)
    return state, plan_role(target.role, state), hardening


def check(target: Target) -> Report:
    """Return the drift as a report whose plan is what a run would do; changes nothing."""
    with sessions_of(target) as sessions:
        state = _accepted(target, sessions)
        proof = _proof(target, sessions, state) if state.role is not None else None
        return Report(target=target, statements=0, plan=plan_role(target.role, state), proof=proof)


def _accepted(target: Target, sessions: Sessions, *, dba: bool = False) -> RoleState:
    """Return the state as found; raise what forbids to provision it."""
    state = catalog.inspect(sessions[Actor.ADMIN], target.role)
    state = as_dba(state) if dba else state
    for reason in refusals(target.role, state):
        raise ProvisioningError(reason)
    return state


# -- acting


def provision(target: Target, *, harden: bool = False, tell: Tell = print_nothing) -> Report:
    """Make the role what is wanted, then log in as it and prove it. Running it again changes nothing."""
    with sessions_of(target) as sessions, only_run(sessions[Actor.ADMIN], target.role):
        state = _accepted(target, sessions)
        if state.role is not None and state.role.canlogin and not target.role.rotate:
            _refuse_unfit_login(target)
        count, plan, state = _converge(target, sessions, tell, state=state)
        settled = replace(target, role=replace(target.role, rotate=False))
        late: tuple[str, ...] = ()
        if count:
            late = wait_for_older_transactions(sessions[Actor.ADMIN], seconds=WAIT_SECONDS, tell=tell)
            more, plan, state = _converge(settled, sessions, tell)
            count += more
        hardening = Plan()
        if harden:
            hardening = plan_hardening(state.public, state.default_public)
            ran, stale = apply(sessions, hardening.statements, tell)
            if stale:
                raise ProvisioningError("Functions were dropped while they were hardened; run this again.")
            count += ran
            # Roles that PUBLIC let create hold that by name now, and so have default privileges to set.
            state = catalog.inspect(sessions[Actor.ADMIN], target.role)
            hardening = replace(hardening, undo=(*hardening.undo, *undo_defaults(target.role, state)))
            more, plan, state = _converge(settled, sessions, tell, state=state)
            count += more
        proof = _proof(target, sessions, state)
        return Report(target=target, statements=count, plan=plan, proof=proof, late=late, hardening=hardening)


def _converge(
    target: Target, sessions: Sessions, tell: Tell, *, state: RoleState | None = None
) -> tuple[int, Plan, RoleState]:
    """Apply the plan of a state; where objects are gone meanwhile, plan again, in smaller batches each time."""
    count = 0
    for attempt in range(ROUNDS):
        state = state or catalog.inspect(sessions[Actor.ADMIN], target.role)
        plan = plan_role(target.role, state, batch=max(1, BATCH >> attempt))
        with _with_twin(target, sessions, plan) as all_sessions:
            ran, stale = apply(all_sessions, plan.statements, tell)
        count += ran
        if not stale:
            return count, plan, state
        state = None
    raise ProvisioningError("Objects keep disappearing while they are granted; run this again when that is over.")


@contextmanager
def _with_twin(target: Target, sessions: Sessions, plan: Plan) -> Iterator[Sessions]:
    """Add the twin's own session where the plan needs it: a role may change its own settings."""
    if not any(statement.actor is Actor.TWIN for statement in plan.statements):
        yield sessions
        return
    with logins.session(f"the twin '{target.twin_alias}'", target.twin_on_primary) as twin:
        yield {**sessions, Actor.TWIN: twin}


def _refuse_unfit_login(target: Target) -> None:
    """Raise ProvisioningError before anything changes: the password is wrong, or the twin leads elsewhere."""
    try:
        twin = logins.connect(f"the twin '{target.twin_alias}'", target.twin_on_primary)
    except ProvisioningError as error:
        if "permission denied for database" in str(error):
            return  # CONNECT is among what is granted
        raise ProvisioningError(
            f"{error}. Role '{target.role.name}' exists: {remedy(str(error), target.twin)}."
        ) from None
    with twin:
        if target.twin == target.twin_on_primary:
            _compared_before(target, twin)
            return
    _refuse_elsewhere(target)


def _refuse_elsewhere(target: Target) -> None:
    """Raise ProvisioningError before anything changes; who cannot log in yet is compared when proved."""
    try:
        twin = logins.connect(f"the twin '{target.twin_alias}'", target.twin)
    except ProvisioningError:
        return
    with twin:
        _compared_before(target, twin)


def _compared_before(target: Target, twin: logins.Session) -> None:
    """Compare, and leave a pooler no session that begins writable: the role is read-only only after this run."""
    _compared(target, twin)
    row = twin.execute("SELECT current_setting('default_transaction_read_only')").fetchone()
    if twin.pooled and row and row[0] == "off":
        with suppress(psycopg.Error):
            twin.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def _compared(target: Target, twin: psycopg.Connection[Any]) -> tuple[str, ...]:
    """Return what is to be said of where the twin leads; raise ProvisioningError where that is elsewhere."""
    found = logins.place_of(twin)
    if refused := refusal(target.writer_alias, target.twin_alias, target.server, found):
        raise ProvisioningError(refused)
    if differs(target.server, found):
        return (f"'{target.twin_alias}' is a replica by READONLY_ROUTER_REPLICAS: it reads {found}",)
    missing = uncompared(target.server, found)
    return (f"not compared with the writer's server: {missing}",) if missing else ()


# -- sessions and proof


def _proof(target: Target, sessions: Sessions, state: RoleState) -> Proof:
    powers = public_powers(state.public, state.default_public)
    row = sessions[Actor.ADMIN].execute("SELECT pg_current_wal_lsn()::text").fetchone()
    with _twin_session(target) as twin:
        notes = (*_compared(target, twin), *limits(twin, target.role))
        _wait_for_replay(twin, row[0] if row else "0/0")
        proof = replace(prove(twin, target.role, powers), notes=notes)
        with logins.connect(f"the writer '{target.writer_alias}'", target.writer, role=target.assumed) as writer:
            return replace(proof, differences=tuple(differences(writer, twin, target.role)))


@contextmanager
def _twin_session(target: Target) -> Iterator[logins.Session]:
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


__all__ = ["Report", "Target", "check", "preview", "provision", "target_for"]
