"""Compares what the writer's and the twin's sessions start with: settings that change what a query answers."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from ..logins import Session
from .plan import RESULT_SETTINGS
from .spec import Gap, Role
from .statements import quoted

# What a session starts with, whatever it has set since; a pooler's was set by the pooler.
_SETTINGS = """SELECT name, CASE WHEN %s THEN setting ELSE reset_val END FROM pg_settings
    WHERE lower(name) = ANY (%s) AND name <> 'search_path'"""
# Milliseconds, 0 is never: a twin that is shorter of breath than its writer fails where the writer does not.
TIMEOUTS = (
    "statement_timeout",
    "transaction_timeout",
    "lock_timeout",
    "idle_session_timeout",
    "idle_in_transaction_session_timeout",
)
# What ends a login, or keeps its next session out: whoever made the role may have meant it, so it is told.
_LIMITS = """SELECT CASE WHEN isfinite(t.rolvaliduntil) THEN to_char(t.rolvaliduntil, 'YYYY-MM-DD HH24:MI TZ') END,
        CASE WHEN t.rolconnlimit >= 0 AND (w.rolconnlimit < 0 OR t.rolconnlimit < w.rolconnlimit)
             THEN t.rolconnlimit END
    FROM pg_roles t LEFT JOIN pg_roles w ON w.rolname = %s WHERE t.rolname = %s"""


def differences(writer: Session, twin: Session, role: Role) -> Iterator[Gap]:
    """Yield each setting that differs between a fresh session of the writer and one of the twin."""
    expected, found = _starts_with(writer), _starts_with(twin)
    where = f"ALTER ROLE {quoted(role.name)} IN DATABASE {quoted(role.database)}"
    for name, value in expected.items():
        if found.get(name) != value and not (name in TIMEOUTS and not _is_shorter(found.get(name, "0"), value)):
            yield Gap(
                says=f"{name} is '{found.get(name)}' for the twin and '{value}' for the writer",
                statement=f"{where} SET {name} TO {_written(name, value, writer.schemas)}",
            )


def limits(session: Session, role: Role) -> Iterator[str]:
    """Yield what may keep the twin from serving the whole site, each with the statement that lifts it."""
    row = session.execute(_LIMITS, [role.writer, role.name]).fetchone()
    until, most = row or (None, None)
    who, alter = f"role '{role.name}'", f"ALTER ROLE {quoted(role.name)}"
    if until is not None:
        yield f"the password of {who} is valid until {until}; {alter} VALID UNTIL 'infinity'"
    if most is not None:
        yield f"{who} may have {most} sessions, fewer than the writer's; {alter} CONNECTION LIMIT -1"


def _written(name: str, value: str, schemas: tuple[str, ...]) -> str:
    """Return a value as SET takes it; a path is a list of names, and none where it leads nowhere."""
    if name == "search_path" and schemas:
        return ", ".join(map(quoted, schemas))
    return sql.Literal(value).as_string(None)


def _starts_with(session: Session) -> dict[str, str]:
    rows = session.execute(_SETTINGS, [session.pooled, [*sorted(RESULT_SETTINGS), *TIMEOUTS]])
    # Where the path leads: "$user" differs, and may lead to the same schemas.
    return {**dict(rows), "search_path": ", ".join(session.schemas)}


def _is_shorter(timeout: str, other: str) -> bool:
    return int(timeout) > 0 and (int(other) == 0 or int(timeout) < int(other))
