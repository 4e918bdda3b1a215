"""What a process knows of its writers without asking: their login's name, and where their sessions led."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connections
from psycopg.pq import Conninfo

# The database's OID, and when the server started.
Instance = tuple[int, int]

_logins: dict[str, str] = {}
_instances: dict[str, Instance] = {}


def note_login(alias: str, connection: Any) -> None:
    """Note whose the writer's session is, as libpq found it."""
    _logins[alias] = connection.info.user


def note_instance(alias: str, found: Instance) -> None:
    """Note where the writer's session leads."""
    _instances[alias] = found


def instance(alias: str) -> Instance | None:
    """Return where the writer's sessions led when last asked; None if never."""
    return _instances.get(alias)


def forget() -> None:
    """Know nothing of any writer."""
    _logins.clear()
    _instances.clear()


def login(alias: str) -> str:
    """Return the writer's login name: as DATABASES gives it, as its sessions have it, or as libpq finds it.

    Empty where a service file names it, and no session of the writer was opened yet.
    """
    named = named_login(alias)
    if named or alias in _logins:
        return named or _logins[alias]
    if connections.settings[alias]["OPTIONS"].get("service"):
        return ""
    # PGUSER, or the system's user. https://www.postgresql.org/docs/current/libpq-envars.html
    found = {option.keyword: option.val for option in Conninfo.get_defaults()}
    return (found.get(b"user") or b"").decode()


def named_login(alias: str) -> str:
    """Return the login name of an alias as DATABASES gives it; empty where libpq finds it elsewhere."""
    entry: Mapping[str, Any] = connections.settings[alias]
    return str(entry["USER"] or entry["OPTIONS"].get("user") or "")
