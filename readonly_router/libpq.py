"""What libpq takes for a parameter: as given, of a service, of the environment, or its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from psycopg.pq import Conninfo

# Which session a login accepts. One that wants to write is kept out where it begins read-only, as a twin's does.
TARGET, WANTS_TO_WRITE, PRIMARY = "target_session_attrs", "read-write", "primary"


def taken(parameters: Mapping[str, Any], keyword: str) -> str:
    """Return what libpq takes for a keyword of its own, such as `user`; empty where nobody knows.

    https://www.postgresql.org/docs/current/libpq-pgservice.html, libpq-envars.html
    """
    if given := parameters.get(keyword):
        return str(given)
    if name := parameters.get("service"):
        service = _service(str(name))
        if not service or keyword in service:
            return service.get(keyword, "")
    defaults = {option.keyword: option.val for option in Conninfo.get_defaults()}
    return (defaults.get(keyword.encode()) or b"").decode()


def same_login(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two DATABASES entries log in as the same role.

    By the role's name alone, which libpq may find elsewhere: one server may be spelt in many ways. Where nobody
    knows it, by all there is.
    """
    users = _user(one), _user(other)
    if any(users):
        return users[0] == users[1]
    keys = ("HOST", "PORT", "NAME", "OPTIONS")
    return all(str(one.get(key) or "") == str(other.get(key) or "") for key in keys)


def _user(entry: Mapping[str, Any]) -> str:
    return str(entry.get("USER") or taken(entry.get("OPTIONS") or {}, "user"))


def wants_to_write(parameters: Mapping[str, Any]) -> bool:
    """Return whether a login is kept out by itself where its sessions begin read-only."""
    return taken(parameters, TARGET) == WANTS_TO_WRITE


def as_twin(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters for a login that begins read-only: still the primary of several hosts."""
    return {**parameters, **({TARGET: PRIMARY} if wants_to_write(parameters) else {})}


def _service(name: str) -> dict[str, str]:
    for file in _files():
        if found := _section(file, name):
            return found
    return {}


def _files() -> Iterator[Path]:
    named, folder = os.environ.get("PGSERVICEFILE"), os.environ.get("PGSYSCONFDIR")
    yield Path(named) if named else Path("~/.pg_service.conf").expanduser()
    if folder:
        yield Path(folder, "pg_service.conf")


def _section(file: Path, name: str) -> dict[str, str]:
    """Return a section of a service file; empty where it is not there, or cannot be read."""
    try:
        lines = [line.strip() for line in file.read_text().splitlines()]
    except (OSError, UnicodeDecodeError):
        return {}
    if f"[{name}]" not in lines:
        return {}
    found = {}
    for line in lines[lines.index(f"[{name}]") + 1 :]:
        if line.startswith("["):
            break
        keyword, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[keyword] = value
    return found
