"""Which server and database a session leads to, and how a twin's place is not that of its writer."""

from __future__ import annotations

from dataclasses import dataclass

from . import conf
from .databases import TWIN_URL


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a session leads.

    `system` is the server's system identifier, None where the login may not ask for it; `oid` the database's;
    `started` when the server started, in microseconds: a copy has its original's identifier, never its start.
    """

    system: int | None
    database: str
    oid: int
    standby: bool
    started: int

    def __str__(self) -> str:
        server = self.system if self.system is not None else "an unknown identifier"
        return f"database '{self.database}' of {'the standby' if self.standby else 'server'} {server}"


def refusal(writer_alias: str, twin_alias: str, writer: Place, twin: Place) -> str:
    """Return why the twin's place is refused, in one line; empty where it is its writer's or declared."""
    if twin_alias in conf.replicas() or not differs(writer, twin):
        return ""
    mend = f"correct {TWIN_URL} (or DATABASES['{twin_alias}'])"
    if not _is_elsewhere(writer, twin):
        return (
            f"The twin '{twin_alias}' leads to database '{twin.database}', and its writer '{writer_alias}' to "
            f"database '{writer.database}' of the same server; {mend}."
        )
    return (
        f"The twin '{twin_alias}' leads to {twin}, which is another server than that of its writer "
        f"'{writer_alias}' ({writer}) and no standby of it; {mend}, or name '{twin_alias}' in "
        "READONLY_ROUTER_REPLICAS where it is a replica on purpose."
    )


def differs(writer: Place, twin: Place) -> bool:
    """Return whether a twin reads something else than its writer's database or a standby of it."""
    return _is_elsewhere(writer, twin) or writer.oid != twin.oid or _has_another_name(writer, twin)


def is_same(one: Place, other: Place) -> bool:
    """Return whether two logins lead to one database of one server."""
    return one.standby == other.standby and not differs(one, other)


def uncompared(writer: Place, twin: Place) -> str:
    """Return what could not be compared, with the next step; empty where all was."""
    if None not in (writer.system, twin.system) or not (writer.standby or twin.standby):
        return ""
    return (
        "system identifiers (a login may not execute pg_control_system(), so any standby with a database of this "
        "name and OID passes; GRANT EXECUTE ON FUNCTION pg_control_system() to it)"
    )


def _is_elsewhere(writer: Place, twin: Place) -> bool:
    if None not in (writer.system, twin.system) and writer.system != twin.system:
        return True
    # A base backup that was promoted, a snapshot that was restored: they keep the identifier.
    return not (writer.standby or twin.standby) and writer.started != twin.started


def _has_another_name(writer: Place, twin: Place) -> bool:
    # By name only where nothing better is known: a standby learns of a new name later.
    return None in (writer.system, twin.system) and writer.database != twin.database
