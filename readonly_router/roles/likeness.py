"""Compares what the writer's and the twin's sessions start with: settings that change what a query answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from .plan import RESULT_SETTINGS
from .spec import Gap
from .statements import quoted
from .targets import Target

# current_schemas() is what a search_path comes to: "$user" differs, and may lead to the same schemas.
_SETTINGS = """SELECT name, setting FROM pg_settings WHERE lower(name) = ANY (%s) AND name <> 'search_path'
    UNION ALL SELECT 'search_path', array_to_string(current_schemas(false), ', ') ORDER BY 1"""


def differences(writer: psycopg.Connection[Any], twin: psycopg.Connection[Any], target: Target) -> Iterator[Gap]:
    """Yield each setting that differs between a fresh session of the writer and one of the twin."""
    if target.assumed:
        writer.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(target.assumed)))
    expected, found = (dict(session.execute(_SETTINGS, [sorted(RESULT_SETTINGS)])) for session in (writer, twin))
    for name, value in expected.items():
        if found.get(name) != value:
            role = quoted(target.role.name)
            yield Gap(
                says=f"{name} is '{found.get(name)}' for the twin and '{value}' for the writer",
                statement=f"ALTER ROLE {role} IN DATABASE {quoted(target.role.database)} SET {name} TO ...",
            )
