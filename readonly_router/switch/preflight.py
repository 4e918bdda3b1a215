"""Looks before the switch is thrown: how it stands, and what would keep it from being thrown or proved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from psycopg import sql

from .. import libpq
from ..errors import SwitchError
from ..mark import MARKS, SETTING
from ..roles.catalog import marks
from . import catalog, events, twin
from .catalog import Connection
from .events import Event, Log
from .receipt import Receipt
from .spec import Accepted, Order, RoleFacts, State, Target, Tell
from .targets import Hands


def state_of(hands: Hands, target: Target, log: Log | None) -> State:
    """Return how the switch of a writer stands: the setting says whether it is on, the events say the rest."""
    connection = hands.operator
    marked = marks(connection)
    event = events.last(log) if log is not None else None
    unfinished = events.unfinished_off(event, now=catalog.server_time(connection))
    read_only = target.writer in marked
    on = event if event is not None and event.kind == "on" else None
    known = on if read_only else None
    # Another site of this database may have a switch of its own; and a site may get another login meanwhile.
    closed = tuple(name for name in marked if name == target.writer or (on and name in on.roles))
    others = tuple(name for name in marked if name not in closed)
    roles = closed or (target.writer,)
    uncovered, superusers = catalog.unfenced(connection, (*roles, str(target.twin.get("user", ""))))
    facts = catalog.roles(connection, (target.writer, *roles))
    return State(
        alias=target.alias,
        read_only=read_only,
        writer=target.writer,
        fenced=closed,
        others=others,
        nologin=_nologin(connection, target.writer, closed, on, known=log is not None),
        uncovered=uncovered,
        superusers=superusers,
        sessions=_sessions(hands),
        since=known.at if known else None,
        reason=known.reason if known else "",
        eta=known.eta if known else None,
        by=known.by if known else "",
        proved=known is not None and _is_of_here(connection, known.receipt),
        digest=_digest(known.receipt) if known else "",
        event=known.id if known else None,
        gone=on.at if on and not read_only else None,
        unfinished=unfinished,
        warnings=(
            *_warnings(target, facts, on=bool(on), closed=closed, uncovered=uncovered),
            *(_UNFINISHED,) * bool(unfinished),
        ),
    )


def _sessions(hands: Hands) -> Counter[str]:
    everyone = catalog.everyone(hands.operator)
    return Counter(session.role for session in catalog.sessions(hands.operator, everyone, own=hands.pids))


_UNFINISHED = (
    "the last off has not ended yet, or was killed: sessions that began read-only may be left and stay so; "
    "run off again"
)


def _is_of_here(connection: Connection, receipt: dict[str, Any] | None) -> bool:
    """Return whether a receipt is there and of this very database: copies and pg_upgrade bring events along.

    One of before a promotion proves nothing of the sessions that were on the standby then: they go on writable.
    """
    horizon = receipt.get("horizon") if receipt is not None else None
    if not isinstance(horizon, dict):
        return False
    system, oid, timeline = catalog.identity(connection)
    found = tuple(horizon.get(name) for name in ("system_identifier", "database_oid", "timeline"))
    return found == (system, oid, found[2] if timeline is None else timeline)


def _digest(receipt: dict[str, Any] | None) -> str:
    """Return the digest of the receipt that is kept; empty where it is none, for the site may edit its table."""
    try:
        return Receipt.of(receipt).digest
    except SwitchError:
        return ""


def _nologin(
    connection: Connection, writer: str, fenced: tuple[str, ...], on: Event | None, *, known: bool
) -> tuple[str, ...]:
    """Return the roles that an on took the login from, and that are still without.

    Of those that it fenced: an event is the site's own word, and must not give a login to somebody else. Where no
    event can be read it is the writer, if it carries the switch's own setting.
    """
    named = on.details.get("nologin") if on else None
    names = [name for name in (writer, *fenced) if isinstance(named, list) and name in named]
    names += [name for name in fenced if name == writer and not known]
    taken = catalog.roles(connection, dict.fromkeys(names))
    return tuple(name for name, fact in taken.items() if not fact.canlogin)


def _warnings(
    target: Target, facts: dict[str, RoleFacts], *, on: bool, closed: tuple[str, ...], uncovered: Iterable[str]
) -> Iterator[str]:
    writer, read_only = facts.get(target.writer), target.writer in closed
    if writer is not None and writer.setting not in {None, *MARKS}:
        yield (
            f"role '{writer.name}' has a {SETTING} of its own in this database ({writer.setting}), which is not "
            "the switch's"
        )
    elif target.begins_read_only and not read_only:
        yield (
            f"sessions of '{target.writer}' begin read-only, and not by the switch: see {SETTING} of the role, "
            "the database and the server"
        )
    if closed and not read_only:
        yield (
            f"the last on closed {', '.join(closed)}, and '{target.writer}', which this site logs in as by now, "
            "is open: run on to close it too, or off to open them"
        )
    elif on and not read_only:
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


def accepted(hands: Hands, target: Target, state: State, log: Log | None, order: Order, tell: Tell) -> Accepted:
    """Return what is to be closed; raise SwitchError for what would make the switch a lie. Changes nothing."""
    connection = hands.operator
    wanted = state.fenced
    if not state.read_only:
        wanted = tuple(dict.fromkeys((target.writer, *state.fenced, *order.writers)))
    facts, acting = catalog.roles(connection, wanted), catalog.acting(connection)
    for name in wanted:
        _refuse_role(name, facts.get(name), target, acting)
    events.required(log, target)
    if libpq.wants_to_write(target.site) and not state.read_only:
        raise SwitchError(
            f"target_session_attrs=read-write keeps the login of '{target.alias}' out while the switch is on, for "
            "its sessions begin read-only then; use primary (in OPTIONS, the service or PGTARGETSESSIONATTRS)."
        )
    _refuse_unidentified(hands)
    if target.server is None and not state.proved:
        _refuse_mute(target, state)
    if order.fence == "login" and target.own:
        raise SwitchError(
            "--fence login needs a login that may alter the writer's role; name one with --admin-url."
        )
    for line in _subscriptions(connection, wanted):
        tell(f"note: {line}")
    accept_unreadable = order.accept_unreadable or state.proved
    reads_from = twin.refuse_unfit(hands, target, order, tell, accept_unreadable=accept_unreadable)
    for line in (*state.warnings, *_not_added(state, order)):
        tell(f"note: {line}")
    if state.superusers:
        tell(f"note: superusers are bound by nothing: {', '.join(state.superusers)}")
    return Accepted(roles=wanted, reads_from=reads_from)


def _refuse_unidentified(hands: Hands) -> None:
    """Raise SwitchError where a receipt could not say of which server it is: before any session is ended."""
    row = hands.site.execute(
        "SELECT has_function_privilege('pg_control_system()', 'EXECUTE'), session_user::text"
    ).fetchone()
    if row is not None and not row[0]:
        grantee = sql.Identifier(row[1]).as_string(None)
        raise SwitchError(
            f"Role '{row[1]}' may not ask for the server's identifier, which a receipt names; as a superuser run "
            f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO {grantee}."
        )


def _refuse_mute(target: Target, state: State) -> None:
    """Raise SwitchError where nobody could keep the event or the receipt: that is the site's login's to write."""
    if state.nologin:
        raise SwitchError(
            f"'{target.alias}' is switched on, but not proved, and its login is fenced with NOLOGIN, so it cannot "
            "keep a receipt; run read_only off, then on again."
        )
    raise SwitchError(
        f"The writer '{target.alias}' cannot log in, so nobody could write the event of the switch; correct its "
        "login in DATABASES first."
    )


def _not_added(state: State, order: Order) -> Iterator[str]:
    """Return what was asked for that the switch which is on already does not do, and is not made to."""
    if not state.read_only:
        return
    for name in order.writers:
        if name not in state.fenced:
            yield f"the switch is on without role '{name}'; run off first, then on with --writer {name}"
    if order.fence == "login" and not state.nologin:
        yield "the switch is on without fencing logins; run off first, then on with --fence login"


def _refuse_role(name: str, fact: RoleFacts | None, target: Target, acting: str) -> None:
    if fact is None:
        raise SwitchError(f"Role '{name}' does not exist; name roles of this server with --writer.")
    if name == target.twin.get("user"):
        raise SwitchError(
            f"The twin '{target.twin_alias}' logs in as '{name}', which is to be fenced; "
            "give it a login of its own."
        )
    if fact.setting not in {None, *MARKS}:
        raise SwitchError(
            f"Role '{name}' has a {SETTING} of its own in this database ({fact.setting}), set by somebody else, "
            "and it is never overwritten; reset it (ALTER ROLE ... IN DATABASE ... RESET) and try again."
        )
    quoted = sql.Identifier(acting).as_string(None)
    if not fact.visible:
        raise SwitchError(
            f"Role '{acting}', as which this command acts, may not see the sessions of '{name}', so none could be "
            f"told drained; GRANT pg_monitor TO {quoted}, or name another login with --admin-url."
        )
    if not fact.endable:
        raise SwitchError(
            f"Role '{acting}', as which this command acts, may not end the sessions of '{name}'; "
            f"GRANT pg_signal_backend TO {quoted}, or name another login with --admin-url."
        )
    if not fact.alterable:
        raise SwitchError(
            f"Role '{acting}', as which this command acts, may not alter '{name}'; name a login that may with "
            "--admin-url."
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
