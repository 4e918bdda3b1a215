"""What `--harden` takes from PUBLIC, whom it gives it back to, what that breaks and how to undo it; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from psycopg import sql

from .spec import DefaultGrant, Grant, Plan, Power, Statement, Step
from .statements import default_privilege, grantee, revoke


def plan_hardening(public: Iterable[Grant], defaults: Iterable[DefaultGrant]) -> Plan:
    """Return the revokes from PUBLIC with, before each, the grants that keep everybody else working."""
    grants = [grant for grant in public if grant.actor is not None]
    writing = [grant for grant in defaults if grant.writes and grant.actor is not None]
    ordered = [statement for grant in grants for statement in _harden(grant)]
    ordered += [default_privilege(Step.HARDEN, grant, "", revoke=True) for grant in writing]
    undo = [line for grant in grants for line in _undo(grant)]
    undo += [default_privilege(Step.HARDEN, grant, "").text.as_string(None) for grant in writing]
    breaks = (*_breaks(grants), *_later_breaks(writing))
    return Plan(statements=tuple(ordered), undo=tuple(undo), breaks=breaks)


def public_powers(public: Iterable[Grant], defaults: Iterable[DefaultGrant]) -> Iterator[Power]:
    """Yield what the twin may do because PUBLIC may, each with the statement that would end it."""
    for grant in public:
        privileges = grant.excess
        text = revoke(Step.HARDEN, grant, privileges, "").text.as_string(None)
        why = f" ({grant.reason})" if grant.reason else ""
        yield Power(says=f"{', '.join(privileges)} on {_objects(grant)}{why}", statement=text)
    for default in (grant for grant in defaults if grant.writes):
        text = default_privilege(Step.HARDEN, default, "", revoke=True).text.as_string(None)
        yield Power(says=f"{default.privilege} on objects that {default.creator} creates", statement=text)


def _objects(grant: Grant) -> str:
    kind, first = grant.kind.lower(), grant.targets[0]
    return f"{kind} {first}" if len(grant.targets) == 1 else f"{len(grant.targets)} objects like {kind} {first}"


def _harden(grant: Grant) -> Iterator[Statement]:
    privileges = grant.excess
    statement = revoke(Step.HARDEN, grant, privileges, "")
    if grant.holders:
        # In one transaction, so that nobody is without it for a moment.
        yield Statement(
            step=statement.step,
            actor=statement.actor,
            first=(_give(grant, sql.SQL(", ").join(map(sql.Identifier, grant.holders))),),
            text=statement.text,
            says=statement.says + f", grant to {len(grant.holders)} roles",
        )
    else:
        yield statement


def _give(grant: Grant, to: sql.Composable, privileges: Sequence[str] = ()) -> sql.Composed:
    return sql.SQL("GRANT {} ON {} {} TO {}").format(
        sql.SQL(", ".join(privileges or grant.excess)),
        sql.SQL(grant.kind),
        sql.SQL(", ".join(grant.targets)),
        to,
    )


def _undo(grant: Grant) -> Iterator[str]:
    yield _give(grant, grantee("")).as_string(None)
    for holder in grant.holders:
        yield revoke(Step.HARDEN, grant, grant.excess, holder).text.as_string(None)
    # To revoke a privilege on a table revokes it on each of its columns too.
    for holder, privilege in grant.columns:
        yield _give(grant, grantee(holder), [privilege]).as_string(None)


def _breaks(grants: Iterable[Grant]) -> Iterator[str]:
    kinds = {(grant.kind, grant.reason) for grant in grants}
    texts = {
        "DATABASE": "temporary tables fail for roles created after this, and for the twin",
        "SCHEMA": "roles created after this cannot create objects in schemas that were open to PUBLIC",
        "ROUTINE": "roles created after this, and the twin, cannot execute these functions, nor read views and"
        " row-level policies that call them",
        "TABLE": "roles created after this lose what PUBLIC could do to these tables",
        "SEQUENCE": "roles created after this cannot advance these sequences",
        "LARGE OBJECT": "roles created after this cannot write these large objects",
        "FOREIGN SERVER": "roles created after this cannot define foreign tables on these servers",
        "FOREIGN DATA WRAPPER": "roles created after this cannot define servers of these wrappers",
        "TABLESPACE": "roles created after this cannot create objects in these tablespaces",
        "PARAMETER": "roles created after this cannot set these parameters",
    }
    for kind in dict.fromkeys(kind for kind, _ in sorted(kinds)):
        if kind in texts:
            yield texts[kind]


def _later_breaks(writing: Iterable[DefaultGrant]) -> Iterator[str]:
    """Yield what is no longer so of objects that are not there yet, whose holders nobody knows."""
    for creator in dict.fromkeys(grant.creator for grant in writing):
        yield f"objects created later by role {creator} are open to no role until it is granted to"
