"""Every option of every command with values that are none: one line, a status that says so, and no traceback."""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from django.core.management.base import BaseCommand
from django.test import override_settings

from readonly_router.management.commands import create_readonly_role, read_only
from readonly_router.models import Event
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.site import MANAGE
from tests.switch import switching
from tests.switch.switching import Outcome, default_of, switched, transaction
from tests.test_readme import DJANGOS_OWN

pytestmark = pytest.mark.usefixtures("unsettled")

NO_TEXT = ["\udcff", "a\x00b", "caf\udce9"]
# What is text and could not be shown as it is.
UNSHOWN = ["", "\n", "\x1b[31mred", "a\nb\rc", "\x7f\x85", "\u2028\u2029", "\u202eabc", "x" * 5000]
NONSENSE = [
    *UNSHOWN,
    *(
        " ",
        "-1",
        "١",
        "inf",
        "nan",
        "-inf",
        "1e400",
        "9" * 400,
        "9" * 5000,
        "%s %(x)s {0}",
        "'; DROP TABLE note; --",
    ),
]
# What may hold any text: it is written and shown, and whoever shows it escapes it.
FREE = {"--reason", "--by", "--receipt"}


class Option(NamedTuple):
    command: type[BaseCommand]
    name: str
    verb: str
    option: str


def options() -> Iterator[Option]:
    """Every option and argument that takes a value."""
    commands = {"create_readonly_role": create_readonly_role.Command, "read_only": read_only.Command}
    for name, command in commands.items():
        for verb, parser in _parsers(command().create_parser("manage.py", name)):
            for action in parser._actions:
                spelt = next((each for each in action.option_strings if each.startswith("--")), "")
                if action.nargs == 0 or spelt in DJANGOS_OWN or isinstance(action, argparse._SubParsersAction):
                    continue
                yield Option(command, name, verb, spelt)


def _parsers(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield "", parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


EVERY = [pytest.param(each, id=" ".join(filter(None, each[1:])) or "argument") for each in options()]
every_option = pytest.mark.parametrize("option", EVERY)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own to stand in: a receipt may have any name."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(pair: Scratch, option: Option, value: str) -> Outcome:
    """Run a command as the command line would, with one value of an option, or of an argument."""
    before = (option.verb,) if option.verb else ()
    given = (f"{option.option}={value}",) if option.option else ("--", value)
    ready = ("--grace", "0s") if option.verb == "on" and option.option not in {"--grace", "--deadline"} else ()
    out, err = io.StringIO(), io.StringIO()
    status = 0
    pairs = override_settings(READONLY_ROUTER_PAIRS={pair.alias: pair.twin_alias})
    with pairs, redirect_stdout(out), redirect_stderr(err):
        try:
            option.command().run_from_argv(["manage.py", option.name, *before, *ready, *given])
        except SystemExit as end:
            status = int(end.code or 0)
    return Outcome(status, out.getvalue(), err.getvalue())


def printable(outcome: Outcome) -> bool:
    return all(line.isprintable() for text in outcome[1:] for line in text.split("\n"))


@every_option
@pytest.mark.parametrize("value", NO_TEXT, ids=ascii)
def test_bytes_that_are_no_text_are_not_understood(
    pair: Scratch, folder: Path, option: Option, value: str
) -> None:
    outcome = run(pair, option, value)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert printable(outcome)
    assert list(folder.iterdir()) == []


@every_option
def test_nonsense_is_one_line_and_a_status(pair: Scratch, folder: Path, option: Option) -> None:
    for value in UNSHOWN if option.option in FREE else NONSENSE:
        outcome = run(pair, option, value)
        assert printable(outcome), (value, outcome)
        if option.option not in FREE:
            assert outcome.status != 0, (value, outcome)
            # Of a command that is not there Django itself speaks, in two.
            assert outcome.err.count("\n") == 1 + ("Unknown command" in outcome.err), (value, outcome)
        if default_of(pair) == "on":
            assert switching.read_only(pair, "off").status == 0


@pytest.mark.parametrize("value", ["\x1b[31m", "\udcff", "a\nb", "--\x1b]0;x\x07", "\u202e"], ids=ascii)
@pytest.mark.parametrize("name", ["read_only", "create_readonly_role"])
def test_an_argument_that_nobody_knows_is_quoted_safely(pair: Scratch, name: str, value: str) -> None:
    command = {"create_readonly_role": create_readonly_role.Command, "read_only": read_only.Command}[name]
    for before in ((), ("status",)) if name == "read_only" else ((),):
        err = io.StringIO()
        with redirect_stderr(err), pytest.raises(SystemExit) as end:
            command().run_from_argv(["manage.py", name, *before, value])
        assert (end.value.code, err.getvalue().count("\n")) == (2, 1)
        assert err.getvalue().removesuffix("\n").isprintable()


# -- as bytes, in a process of its own


def manage(pair: Scratch, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    variables = {**pair.env, "DJANGO_SETTINGS_MODULE": "tests.switch.settings", **env}
    return subprocess.run(
        [sys.executable, str(MANAGE), *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "arguments", [("read_only", "on", "--reason", "\udcff"), ("create_readonly_role", "--schema", "\udcff")]
)
def test_bytes_on_the_command_line_are_told_in_one_line(pair: Scratch, arguments: tuple[str, ...]) -> None:
    ended = manage(pair, *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1), ended.stderr
    assert "holds bytes that are no text" in ended.stderr


@pytest.mark.parametrize(
    "arguments", [("read_only", "on"), ("read_only", "status"), ("create_readonly_role", "--check")]
)
def test_bytes_in_the_admins_url_are_told_without_them(pair: Scratch, arguments: tuple[str, ...]) -> None:
    url = "postgres://postgres:s3cret\udcff@127.0.0.1/x"
    ended = manage(pair, *arguments, DATABASE_ADMIN_URL=url)
    assert (ended.returncode, ended.stderr.count("\n")) == (2 if "status" in arguments else 1, 1), ended.stderr
    assert "DATABASE_ADMIN_URL holds bytes that are no text" in ended.stderr
    assert "s3cret" not in ended.stderr


def test_who_acts_may_have_a_name_of_any_bytes(pair: Scratch) -> None:
    ended = manage(pair, "read_only", "on", LOGNAME="\udcff\x1b")
    assert ended.returncode == 0, ended.stderr
    assert Event.objects.using(pair.alias).get().os_user == r"\udcff\x1b"


def test_a_terminal_of_another_encoding_makes_no_error_of_a_switch_that_was_thrown(pair: Scratch) -> None:
    ended = manage(pair, "read_only", "on", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0, ended.stderr
    assert manage(pair, "read_only", "off", "--reason", "数据", PYTHONIOENCODING="ascii").returncode == 0
    assert r"\u6570\u636e" in manage(pair, "read_only", "history", PYTHONIOENCODING="ascii").stdout


# -- text of others

EVIL = "a\nREAD-ONLY, proved\r\x1b[2K\x1b]0;x\x07\x7f\x85\u2028\u202eb"


def test_a_reason_and_a_name_are_escaped_wherever_they_are_shown(pair: Scratch, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    with pair.superuser() as superuser:
        superuser.execute('CREATE TABLE "t\x1b\n" ()')
        superuser.execute('CREATE SEQUENCE "s\x1b\n\u202e"')
    switched(pair, "--reason", EVIL, "--by", EVIL, "--receipt", str(file))
    with pair.superuser() as superuser:
        superuser.execute("SELECT nextval('\"s\x1b\n\u202e\"')")
    for arguments in (
        *(("status",), ("history",), ("verify",), ("verify", str(file)), ("on",), ("on", "--dry-run")),
        *(("status", "--json"), ("history", "--json"), ("verify", "--json"), ("on", "--json")),
        *(("exec", "--", EVIL), ("off",), ("history",)),
    ):
        outcome = switching.read_only(pair, *arguments)
        assert printable(outcome), (arguments, outcome)
        assert outcome.out or outcome.err
    assert file.read_text().isascii()
    assert r"a\nREAD-ONLY, proved\r\x1b[2K" in switching.read_only(pair, "history").out


def test_a_session_that_holds_out_is_told_in_one_line_whatever_it_calls_itself(pair: Scratch) -> None:
    with transaction(pair, application_name="x\n\x1b[2Kdrained\u202e") as held:
        held.execute("SELECT '\x1b[2K\n\u202e'")
        outcome = switching.read_only(pair, "on", "--deadline", "1200ms", "--show-queries")
    assert (outcome.status, printable(outcome)) == (3, True), outcome
    wait_for(lambda: default_of(pair) == "off")


@pytest.mark.parametrize("arguments", [(), ("--dry-run",), ("--check",), ("--harden", "--dry-run"), ("--drop",)])
@pytest.mark.parametrize("scratch", [{"twin": "t\n\x1b[2K\u202e", "name": "d\n\x1b\u202e"}], indirect=True)
def test_provisioning_prints_names_escaped(scratch: Scratch, arguments: tuple[str, ...]) -> None:
    scratch.run('CREATE SCHEMA "s\n\x1b"', 'CREATE TABLE "s\n\x1b"."t\n\u202e" ()')
    out, err = io.StringIO(), io.StringIO()
    given = ["--database", scratch.alias, "--admin-url", scratch.server, *arguments]
    with redirect_stdout(out), redirect_stderr(err), suppress(SystemExit):
        create_readonly_role.Command().run_from_argv(["manage.py", "create_readonly_role", *given])
    assert out.getvalue()
    assert printable(Outcome(0, out.getvalue(), err.getvalue())), (out.getvalue(), err.getvalue())


@pytest.mark.parametrize(
    "change",
    ["details = '[1]'", "details = '{\"command\": [1, null], \"status\": {}}', kind = 'exec'", "roles = '7'"],
)
def test_an_event_that_no_command_wrote_is_told_or_shown(pair: Scratch, change: str) -> None:
    switched(pair)
    with pair.superuser() as superuser:
        superuser.execute(f"UPDATE readonly_router_event SET {change}".encode())
    outcome = switching.read_only(pair, "history")
    assert (outcome.status, (outcome.out or outcome.err).count("\n")) in {(0, 1), (1, 1)}
