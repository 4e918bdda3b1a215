"""What counts as PostgreSQL refusing a write, and how that is told."""

from __future__ import annotations

import re

from psycopg.sql import SQL, Identifier

from ..errors import ReadOnlyError, message

READ_ONLY_TRANSACTION = "25006"
INSUFFICIENT_PRIVILEGE = "42501"
# How a session ends that the drain ends: PostgreSQL's words, and PgBouncer's for one that it was handing out.
ENDED = frozenset({"57P01", "08P01"})
_FUNCTION = re.compile(r"permission denied for (?:function|procedure|aggregate|routine) (.+)")


def sqlstate_of(error: BaseException | None) -> str:
    """Return the error's five-character SQLSTATE, or an empty string."""
    return getattr(error, "sqlstate", None) or ""


def is_refusal(error: BaseException | None, *, on_twin: bool) -> bool:
    """Return whether the error is a refused write.

    25006 is one anywhere; 42501 only on a twin's connection, for on the writer it is a permission bug.
    """
    if isinstance(error, ReadOnlyError):
        return False  # told already
    sqlstate = sqlstate_of(error)
    return sqlstate == READ_ONLY_TRANSACTION or (on_twin and sqlstate == INSUFFICIENT_PRIVILEGE)


def refusal(error: BaseException, *, alias: str, role: str, reason: str) -> ReadOnlyError:
    """Return the typed error for a psycopg refusal met on `alias` as `role`; `reason` ends with the next step."""
    sqlstate = sqlstate_of(error)
    told = f"PostgreSQL refused this on '{alias}' ({sqlstate}: {message(error)}). {reason}"
    if sqlstate == INSUFFICIENT_PRIVILEGE:
        told += _missing(message(error), role)
    return ReadOnlyError.of(told, alias=alias, sqlstate=sqlstate)


def _missing(says: str, role: str) -> str:
    """Return which grant would help; PostgreSQL tells a function's name without its schema and arguments."""
    if not (function := _FUNCTION.fullmatch(says)):
        return " If it was a read, SELECT is missing: see manage.py create_readonly_role --check."
    grant = SQL("GRANT EXECUTE ON ROUTINE {} TO {}").format(Identifier(function[1]), Identifier(role))
    return (
        f" If the function only reads, this helps: {grant.as_string(None)}; with its schema where search_path "
        "lacks that, and its argument types where others bear its name."
    )
