"""Names of roles, databases, schemas and relations may hold anything PostgreSQL takes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from readonly_router.roles.spec import Actor, Role
from readonly_router.roles.statements import create_role, grant_select, list_values
from tests.database import scratch as make_scratch
from tests.plugin import PREFIX
from tests.psql import psql
from tests.roles.provisioning import command, provisioned

MAX_BYTES = 63


def names(prefix: str = "") -> st.SearchStrategy[str]:
    """Any identifier of 1 to 63 bytes in UTF-8 that PostgreSQL takes: no NUL, no reserved prefix."""
    text = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), min_size=1, max_size=63)
    return text.map(lambda name: _cut(prefix + name)).filter(lambda name: not name.startswith("pg_"))


def _cut(name: str) -> str:
    return name.encode()[:MAX_BYTES].decode(errors="ignore")


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    twin=names(f"{PREFIX}_"),
    writer=names(f"{PREFIX}_"),
    database=names(f"{PREFIX}_"),
    schema=names(),
    relation=names(),
)
def test_any_names_are_provisioned_and_dropped(
    server: str, twin: str, writer: str, database: str, schema: str, relation: str
) -> None:
    if len({twin, writer}) < 2:
        return
    with make_scratch(server, name=database, writer=writer, twin=twin) as scratch:
        with scratch.login(writer) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
            connection.execute(sql.SQL("CREATE TABLE {} (id serial)").format(sql.Identifier(schema, relation)))
        assert provisioned(scratch).holds
        assert provisioned(scratch).statements == 0
        with scratch.login(twin) as connection:
            connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, relation)))
        assert command(scratch, "--drop")[0] == 0


AWKWARD = {
    "quotes": "a\"b'c",
    "spaces": " lead and trail ",
    "capitals": "MixedCase",
    "unicode": "naïve-数据库-🐘",
    "dollar and percent": "100%s $1 %(x)s {0}",
    "psql variable": ":name :'x' \\c",
    "keyword": "select",
    "63 bytes": "é" * 31 + "x",
}


@pytest.mark.parametrize("name", AWKWARD.values(), ids=AWKWARD)
def test_an_awkward_name_survives_the_command_and_the_script(server: str, name: str, tmp_path: object) -> None:
    twin, writer, database = (_cut(f"{PREFIX}{kind}{name}") for kind in "rwd")
    with make_scratch(server, name=database, writer=writer, twin=twin) as scratch:
        with scratch.login(writer) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(_cut(name))))
            connection.execute(
                sql.SQL("CREATE TABLE {} (id serial)").format(sql.Identifier(_cut(name), _cut(name)))
            )
        _, script, _ = command(scratch, "--sql")
        result = psql(scratch.server, "-v", "ON_ERROR_STOP=1", "-q", script=script)
        assert (result.returncode, result.stderr) == (0, "")
        assert provisioned(scratch).statements == 0
        assert command(scratch, "--drop")[0] == 0


@given(name=names(), relation=names())
def test_statements_quote_every_name(name: str, relation: str) -> None:
    role = Role(name=name, writer="w", database="d")
    found = sql.Identifier(name, relation).as_string(None)
    text = grant_select(role, "r", [found], Actor.ADMIN).text.as_string(None)
    quoted = '"' + name.replace('"', '""') + '"'
    assert text.endswith(f" TO {quoted}")
    assert create_role(role).text.as_string(None).startswith(f"ALTER ROLE {quoted} SET ")


@given(st.lists(names(), min_size=1, max_size=4))
def test_a_stored_search_path_is_read_as_its_names(path: list[str]) -> None:
    stored = ", ".join('"' + name.replace('"', '""') + '"' for name in path)
    assert list_values(stored, "w") == ["w" if name == "$user" else name for name in path]
