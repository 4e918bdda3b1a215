"""The switch as lines for people and objects for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from .. import conf, mode
from ..durations import written
from ..switch.events import Event
from ..switch.receipt import Receipt, Verdict
from ..switch.spec import State


def state(alias: str, found: State | str) -> Iterator[str]:
    """Return how the switch of a writer stands; a text is what kept it from being asked."""
    if isinstance(found, str):
        yield f"{alias}: UNKNOWN: {found}"
        return
    yield f"{alias}: {'READ-ONLY' if found.read_only else 'writable'} (writer role {found.writer})"
    process = mode.process()
    if process is not conf.ProcessMode.FOLLOW:
        yield f"  this process: {process.value} by {conf.ENVIRONMENT_VARIABLE}, whatever the switch says"
    if found.read_only:
        proved = "proved" if found.proved else "NOT PROVED: run read_only on again, or off"
        yield f"  since {_time(found.since)} by {found.by or 'somebody unknown'}, {proved}"
        yield f"  reason: {found.reason or 'none given'}"
        yield f"  expected to end: {_time(found.eta) if found.eta else 'not said'}"
        yield f"  fenced: {', '.join(found.fenced)}"
        if found.digest:
            yield f"  the receipt kept with the switch: sha256 {found.digest}"
    if found.reads_from:
        yield f"  reads come from {found.reads_from}: a replica, by READONLY_ROUTER_REPLICAS"
    for role, count in sorted(found.sessions.items()):
        yield f"  sessions of {role}: {count}"
    if found.others:
        yield f"  closed by another switch of this database, and left to it: {', '.join(found.others)}"
    for line in found.warnings:
        yield f"  warning: {line}"


def receipt(found: Receipt) -> Iterator[str]:
    """Return what a receipt proves, and what it does not."""
    horizon = found.horizon
    took = written((found.proved_at - found.switched_at).total_seconds())
    yield f"{found.alias}: READ-ONLY, proved at {_time(found.proved_at)} (after {took})"
    yield f"  database {horizon.database} on server {horizon.system_identifier}, timeline {horizon.timeline}"
    yield f"  lsn {horizon.lsn}, next transaction {horizon.next_xid}, {len(horizon.sequences)} sequences"
    yield f"  {digest(found)}"
    yield f"  fenced: {', '.join(found.roles)} ({found.fence}); sessions ended: {found.ended}"
    for name in found.uncovered:
        yield f"  NOT COVERED: login {name} may write here; name it with --writer"
    if found.reads_from:
        yield f"  NOT COVERED: reads come from {found.reads_from}, a replica by READONLY_ROUTER_REPLICAS"
    if horizon.unreadable:
        yield f"  NOT COVERED: {len(horizon.unreadable)} sequences cannot be read by this login"
    if found.superusers:
        yield f"  not bound by anything: superusers {', '.join(found.superusers)}"


def digest(found: Receipt) -> str:
    """Return what tells a receipt from every other, and from an altered one."""
    return f"receipt sha256 {found.digest}"


def verdict(found: Verdict, of: Receipt) -> Iterator[str]:
    """Return what was written since a receipt."""
    outcome = "nothing was written" if found.clean else "WRITTEN, or not to be told"
    yield f"{of.alias}: {outcome} since {_time(of.proved_at)}"
    yield f"  {digest(of)}"
    for line in (*found.moved, *(f"note: {line}" for line in found.noted)):
        yield f"  {line}"


def event(found: Event) -> str:
    """Return an audit event in one line."""
    parts = [_time(found.at), found.alias, found.kind, f"by {found.by}"]
    if found.by != f"{found.os_user}@{found.host}":
        parts.append(f"({found.os_user}@{found.host})")
    if found.kind == "on":
        parts.append("proved" if found.receipt is not None else "not proved")
    if found.kind == "exec":
        command, status = found.details.get("command", []), found.details.get("status", "not known")
        said = " ".join(map(str, command)) if isinstance(command, list) else str(command)
        parts.append(f"{said!r}, exit status {status}")
    if found.reason:
        parts.append(f"({found.reason})")
    return " ".join(parts)


def event_object(found: Event) -> dict[str, Any]:
    """Return an audit event for JSON, without its receipt."""
    names = ("id", "at", "kind", "alias", "roles", "reason", "eta", "by", "os_user", "host", "details")
    return {**{name: getattr(found, name) for name in names}, "proved": found.receipt is not None}


def state_object(alias: str, found: State | str) -> dict[str, Any]:
    """Return how the switch of a writer stands for JSON; `read_only` is null when it is unknown."""
    if isinstance(found, str):
        return {"alias": alias, "read_only": None, "error": found}
    source = "switch" if found.read_only else "default"
    if mode.process() is not conf.ProcessMode.FOLLOW:
        source = "process"
    facts = {**asdict(found), "sessions": dict(found.sessions)}
    return {**facts, "read_only": is_read_only(found), "switch": found.read_only, "source": source}


def is_read_only(found: State | str) -> bool:
    """Return whether this process is read-only on a writer, by its environment or by the switch."""
    process = mode.process()
    if process is not conf.ProcessMode.FOLLOW:
        return process is not conf.ProcessMode.WRITABLE
    return isinstance(found, State) and found.read_only


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S %Z}" if at else "an unknown time"
