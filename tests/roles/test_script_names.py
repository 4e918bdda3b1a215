"""The script for a DBA's psql does what it says and nothing else, whatever the site's owner calls things."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import override_settings
from psycopg import sql

from tests.database import Scratch, forget
from tests.database import scratch as make_scratch
from tests.plugin import PREFIX
from tests.psql import psql
from tests.roles.provisioning import command, provisioned

# A control character each: C0, DEL, C1, line separators, a bidi override.
ENDERS = ["\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u202e"]


@pytest.mark.parametrize("ender", ENDERS, ids=map(ascii, ENDERS))
@pytest.mark.parametrize("kind", ["name", "writer", "twin", "schema"])
def test_a_control_character_in_a_name_is_refused_and_nothing_printed(server: str, kind: str, ender: str) -> None:
    odd = f"{PREFIX}x{ender}\\! echo planted{ender}"
    with make_scratch(server, **({} if kind == "schema" else {kind: odd})) as scratch:
        with scratch.login(scratch.writer) as connection:
            connection.execute("CREATE TABLE thing (id serial)")
            if kind == "schema":
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(odd)))
        status, out, err = command(scratch, "--sql", url=scratch.server)
        assert (status, out, err.count("\n")) == (1, "", 0)
        assert "holds a control character" in err
        assert err.isprintable()


def test_a_control_character_in_a_schema_that_is_asked_for_is_refused(scratch: Scratch) -> None:
    scratch.run('CREATE SCHEMA "a\nb"')
    status, out, err = command(scratch, "--sql", "--schema", "a\nb")
    assert (status, out, "The name of schema 'a\\nb' holds a control character" in err) == (1, "", True)


@pytest.mark.parametrize("scratch", [{"name": f"{PREFIX}\nx"}], indirect=True)
def test_without_the_script_such_names_are_provisioned(scratch: Scratch) -> None:
    assert command(scratch, url=scratch.server)[0] == 0


def test_a_pair_that_is_refused_leaves_nothing_printed_of_another(scratch: Scratch) -> None:
    out = io.StringIO()
    connections.settings["second"] = connections.settings[scratch.alias]
    connections.settings["second_twin"] = {**connections.settings[scratch.twin_alias], "USER": "two\nlines"}
    pairs = {scratch.alias: scratch.twin_alias, "second": "second_twin"}
    try:
        with override_settings(READONLY_ROUTER_PAIRS=pairs), pytest.raises(CommandError, match=r"'two\\nlines'"):
            call_command("create_readonly_role", "--sql", "--admin-url", scratch.server, stdout=out)
    finally:
        for alias in ("second", "second_twin"):
            forget(alias)
            del connections.settings[alias]
    assert out.getvalue() == ""


NAMES = {
    "quotes": "a\"b'c",
    "double quotes": '"" "',
    "spaces": " lead and trail ",
    "backslashes": "a\\b \\\\ \\",
    "a command of psql's": "x \\! touch planted",
    "a shell's": "x$(touch planted)`touch planted`;touch planted",
    "percent": "100%s %41 %%",
    "variables of psql's": ":x :'x' :\"x\" :{?x} x:x",
    "an equals sign": "host=nowhere dbname=postgres",
    "a URL": "postgres://nobody@nowhere:1/x",
    "a comment": "x -- y /* z",
    "a dollar quote": "$$ $x$",
    "an option": "-x --y",
    "the end of a statement": "x; DROP TABLE thing; --",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_psql_does_what_the_script_says_and_nothing_else(
    server: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    twin, writer, database = (f"{PREFIX}{kind}{name}" for kind in "rwd")
    with make_scratch(server, name=database, writer=writer, twin=twin) as scratch:
        with scratch.login(writer) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
            for where in (name, "public"):
                connection.execute(sql.SQL("CREATE TABLE {} ()").format(sql.Identifier(where, "thing")))
        status, script, _ = command(scratch, "--sql", url=scratch.server)
        assert (status, script.count("\\connect")) == (0, 1 + name.count("\\connect"))
        variables = ("-v", "x=public; DROP TABLE thing", "-v", "ON_ERROR_STOP=1", "-q")
        result = psql(scratch.server, *variables, script=script)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert list(tmp_path.iterdir()) == []
        with scratch.login(twin) as connection:
            for where in (name, "public"):
                connection.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(where, "thing")))
        assert provisioned(scratch, scratch.server).statements == 0
