"""What mends a login that PostgreSQL, or a pooler, turns away: by the reason that it gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PROVISION = "run manage.py create_readonly_role"
# Parts of what PostgreSQL, libpq and PgBouncer say, and the statement or the step for it.
_REMEDIES = (
    ("no password supplied", "its PASSWORD in DATABASES is empty: set {variable}"),
    ("session is read-only", "target_session_attrs=read-write (of a service?) keeps it out: use primary"),
    ("is not permitted to log in", "ALTER ROLE {role} LOGIN"),
    ("does not have CONNECT privilege", "GRANT CONNECT ON DATABASE {database} TO {role}"),
    ("permission denied for database", "GRANT CONNECT ON DATABASE {database} TO {role}"),
    ("too many connections for role", "ALTER ROLE {role} CONNECTION LIMIT -1"),
    ("too many connections for database", "ALTER DATABASE {database} CONNECTION LIMIT -1"),
    ("too many clients", "the server's max_connections are used up: end sessions, or raise it"),
    ("remaining connection slots are reserved", "the server's max_connections are used up: end sessions"),
    ("no pg_hba.conf entry", "add a line for {role} to the server's pg_hba.conf"),
    ("no such user", "add {role} to the pooler's auth_file, or let its auth_query find it"),
    ("auth failed", "add {role} to the pooler's auth_file, or let its auth_query find it"),
    ("does not exist", _PROVISION),
    (
        "password authentication failed",
        "run manage.py create_readonly_role, or give its password ({variable}; --rotate-password sets that one); "
        "where it has expired (VALID UNTIL): ALTER ROLE {role} VALID UNTIL 'infinity'",
    ),
    ("could not translate host name", "correct HOST in DATABASES"),
    ("refused", "see that its server answers"),
    ("timeout", "see that its server answers"),
)
_VARIABLE = "DB_READONLY_PASSWORD, or DATABASE_READONLY_URL"
_OTHERWISE = f"see that its server answers, {_PROVISION}, or give its password ({_VARIABLE})"


def remedy(said: str, parameters: Mapping[str, Any]) -> str:
    """Return the next step for a twin's login by libpq's parameters that failed so."""
    names = {
        "role": _quoted(parameters.get("user")),
        "database": _quoted(parameters.get("dbname")),
        "variable": _VARIABLE,
    }
    found = next((step for part, step in _REMEDIES if part in said), _OTHERWISE)
    if not parameters.get("password") and "password" in said:
        found = _REMEDIES[0][1]
    return found.format(**names)


def _quoted(name: Any) -> str:
    return '"' + str(name or "").replace('"', '""') + '"'
