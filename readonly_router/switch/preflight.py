"""Looks before the switch is thrown: how it stands, and what would keep it from being thrown or proved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import SwitchError
from . import catalog
from .catalog import Connection
from .mark import MARK, SETTING
from .spec import Order, RoleFacts, State, Target, Tell
from .targets import connect


def state_of(connection: Connection, target: Target) -> State:
    """Return how the switch of a writer stands: the setting says whether it is on, the events say the rest."""
    marked = catalog.marked(connection)
    table = catalog.events_table(connection)
    event = catalog.last_event(connection, table, target.writer) if table is not None else None
    unfinished = catalog.unfinished_off(connection, table, target.writer) if table is not None else None
    read_only = target.writer in marked
    on = event if event is not None and event["kind"] == "on" else None
    known = on if read_only else None
    # Another site of this database may have a switch of its own.
    fenced = tuple(name for name in marked if name == target.writer or (on and name in on["roles"]))
    roles = fenced if read_only else (target.writer,)
    uncovered, superusers = catalog.unfenced(connection, (*roles, str(target.twin.get("user", ""))))
    facts = catalog.roles(connection, roles)
    return State(
        alias=target.alias,
        read_only=read_only,
        writer=target.writer,
        fenced=fenced,
        nologin=_nologin(connection, on) if on else (),
        uncovered=uncovered,
        superusers=superusers,
        sessions=Counter(session.role for session in catalog.sessions(connection, catalog.everyone(connection))),
        since=known["at"] if known else None,
        reason=known["reason"] if known else "",
        eta=known["eta"] if known else None,
        by=known["by"] if known else "",
        proved=known is not None and _is_of_here(connection, known["receipt"]),
        event=known["id"] if known else None,
        gone=bool(on) and not read_only,
        unfinished=unfinished,
        warnings=(
            *_warnings(target, facts, on=bool(on), read_only=read_only, uncovered=uncovered),
            *(_UNFINISHED,) * bool(unfinished),
        ),
    )


_UNFINISHED = (
    "the last off has not ended yet, or was killed: sessions that began read-only may be left and stay so; "
    "run off again"
)


def _is_of_here(connection: Connection, receipt: dict[str, Any] | None) -> bool:
    """Tell whether a receipt is there and of this very database: copies and pg_upgrade bring events along."""
    if receipt is None:
        return False
    horizon = receipt["horizon"]
    return (horizon["system_identifier"], horizon["database_oid"]) == catalog.identity(connection)


def _nologin(connection: Connection, event: dict[str, Any]) -> tuple[str, ...]:
    """Return the roles that an on took the login from, and that are still without."""
    taken = catalog.roles(connection, event["details"].get("nologin", ()))
    return tuple(name for name, fact in taken.items() if not fact.canlogin)


def _warnings(
    target: Target, facts: dict[str, RoleFacts], *, on: bool, read_only: bool, uncovered: Iterable[str]
) -> Iterator[str]:
    writer = facts.get(target.writer)
    if writer is not None and writer.setting not in {None, MARK}:
        yield (
            f"role '{writer.name}' has a {SETTING} of its own in this database ({writer.setting}), which is not "
            "the switch's"
        )
    elif target.begins_read_only and not read_only:
        yield (
            f"sessions of '{target.writer}' begin read-only, and not by the switch: see {SETTING} of the role, "
            "the database and the server"
        )
    if on and not read_only:
        yield (
            "the last event is an on, but the setting is gone: somebody reset it, or this database is a copy of "
            "one in a window; run on to switch it too, or off to note that it is open"
        )
    for name in uncovered:
        yield f"login '{name}' may write and is not covered by the switch; name it with --writer"
    if writer is not None and writer.superuser:
        yield (
            f"'{writer.name}' is superuser: its sessions begin read-only too, but nothing keeps one from "
            "switching that off, from ALTER SYSTEM, or from writing files"
        )


def refuse_standby(connection: Connection, target: Target) -> None:
    """Raise SwitchError where the writer's alias leads to a standby."""
    row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    if row and row[0]:
        raise SwitchError(
            f"'{target.alias}' leads to a standby, which is read-only already and cannot carry the switch; "
            "name the primary."
        )


def accepted(connection: Connection, target: Target, state: State, order: Order, tell: Tell) -> tuple[str, ...]:
    """Return the roles to fence; raise SwitchError for what would make the switch a lie. Changes nothing."""
    wanted = state.fenced if state.read_only else tuple(dict.fromkeys((target.writer, *order.writers)))
    facts = catalog.roles(connection, wanted)
    for name in wanted:
        _refuse_role(name, facts.get(name), target)
    if catalog.events_table(connection) is None:
        raise SwitchError(
            f"The table of audit events is not in '{target.alias}'; run manage.py migrate readonly_router "
            f"--database {target.alias}."
        )
    if order.fence == "login" and target.own:
        raise SwitchError(
            "--fence login needs a login that may alter the writer's role; name one with --admin-url."
        )
    for line in _subscriptions(connection, wanted):
        tell(f"note: {line}")
    _refuse_missing_twin(target)
    unreadable = catalog.unreadable(connection, target.writer, str(target.twin.get("user", "")))
    for line in (*state.warnings, *_not_added(state, order), *_unreadable(unreadable)):
        tell(f"note: {line}")
    if state.superusers:
        tell(f"note: superusers are bound by nothing: {', '.join(state.superusers)}")
    return wanted


def _unreadable(names: tuple[str, ...]) -> Iterator[str]:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield f"the twin cannot read {', '.join(names[:3])}{more}; run create_readonly_role"


def _not_added(state: State, order: Order) -> Iterator[str]:
    """Return what was asked for that the switch which is on already does not do, and is not made to."""
    if not state.read_only:
        return
    for name in order.writers:
        if name not in state.fenced:
            yield f"the switch is on without role '{name}'; run off first, then on with --writer {name}"
    if order.fence == "login" and not state.nologin:
        yield "the switch is on without fencing logins; run off first, then on with --fence login"


def _refuse_role(name: str, fact: RoleFacts | None, target: Target) -> None:
    if fact is None:
        raise SwitchError(f"Role '{name}' does not exist; name roles of this server with --writer.")
    if name == target.twin.get("user"):
        raise SwitchError(f"'{name}' is the twin itself; give '{target.twin_alias}' a login of its own.")
    if fact.setting is not None and fact.setting != MARK:
        raise SwitchError(
            f"Role '{name}' has a {SETTING} of its own in this database ({fact.setting}), set by somebody else, "
            "and it is never overwritten; reset it (ALTER ROLE ... IN DATABASE ... RESET) and try again."
        )
    if not fact.visible:
        raise SwitchError(
            f"This login may not see the sessions of '{name}', so none could be told drained; "
            "GRANT pg_monitor to it, or name another with --admin-url."
        )
    if not fact.endable:
        raise SwitchError(
            f"This login may not end the sessions of '{name}'; GRANT pg_signal_backend to it, or name another "
            "with --admin-url."
        )


def _subscriptions(connection: Connection, fenced: tuple[str, ...]) -> Iterator[str]:
    """Return what replicates into this database; raise SwitchError where that writes as a fenced role.

    It applies rows past default_transaction_read_only.
    """
    for name, owner in catalog.subscriptions(connection):
        if owner in fenced:
            raise SwitchError(
                f"Subscription '{name}' goes on writing as '{owner}', whatever its sessions begin as; "
                f"run ALTER SUBSCRIPTION {name} DISABLE first."
            )
        yield f"subscription '{name}' of '{owner}' goes on writing (ALTER SUBSCRIPTION {name} DISABLE ends that)"


def _refuse_missing_twin(target: Target) -> None:
    """Log in as the twin and read, as the whole site is about to do."""
    try:
        with connect(f"the twin '{target.twin_alias}'", target.twin) as connection:
            row = connection.execute("SELECT session_user::text").fetchone()
    except SwitchError as error:
        raise SwitchError(
            f"{error}. Without its twin the site could not even read; run manage.py create_readonly_role "
            "first, or give its password (DB_READONLY_PASSWORD)."
        ) from None
    if row and row[0] == target.writer:
        raise SwitchError(
            f"The twin '{target.twin_alias}' logs in as the writer '{target.writer}'; give it a login of its own."
        )


def accepted_off(connection: Connection, target: Target, state: State) -> None:
    """Raise SwitchError for what would keep off from opening everything that on closed."""
    if state.nologin and target.own:
        raise SwitchError("The writer was fenced with NOLOGIN; name a login that may alter it with --admin-url.")
    writer = catalog.roles(connection, (target.writer,)).get(target.writer)
    if not state.read_only and target.begins_read_only:
        own = writer.setting if writer is not None else None
        where = f"role '{target.writer}' has {SETTING} = {own} in this database" if own else f"{SETTING} is on"
        raise SwitchError(
            f"'{target.alias}' is read-only, but not by the switch: {where}, set by somebody else (for the role, "
            "the database or the server). It is left as it is; ask who set it."
        )
