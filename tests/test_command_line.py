"""How a refused command ends, in this process: the seam that tests/test_commands.py sees from outside."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.sessions.management.commands.clearsessions import Command as ClearSessions
from django.core.management import BaseCommand, CommandError, call_command
from django.core.management.commands.flush import Command as Flush

from readonly_router import ReadOnlyError, read_only
from tests.example.shop.models import Tag

pytestmark = pytest.mark.usefixtures("shop")


def test_a_refused_command_ends_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with read_only(), pytest.raises(SystemExit) as ended:
        ClearSessions().run_from_argv(["manage.py", "clearsessions"])
    error = capsys.readouterr().err
    assert (ended.value.code, error.count("\n")) == (1, 1)
    assert error.startswith("CommandError: PostgreSQL refused this on 'readonly' (25006")


def test_a_command_that_hides_its_refusal_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    with read_only(), pytest.raises(SystemExit):
        Flush().run_from_argv(["manage.py", "flush", "--noinput"])
    assert "PostgreSQL refused this on 'readonly'" in capsys.readouterr().err


class Wordless(BaseCommand):
    def handle(self, **_: Any) -> None:
        try:
            Tag.objects.create(name="refused")
        except ReadOnlyError as refusal:
            raise LookupError from refusal


def test_a_refused_command_whose_own_error_has_no_words_tells_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    with read_only(), pytest.raises(SystemExit):
        Wordless().run_from_argv(["manage.py", "wordless"])
    assert capsys.readouterr().err.endswith("(LookupError)\n")


class Planted(BaseCommand):
    def handle(self, **_: Any) -> None:
        raise ReadOnlyError("the reason is a\nb\x1b[2K")


def test_a_reason_in_a_refusal_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Planted().run_from_argv(["manage.py", "planted"])
    assert capsys.readouterr().err == "CommandError: the reason is a\\nb\\x1b[2K\n"


def test_traceback_shows_everything() -> None:
    with read_only(), pytest.raises(CommandError) as error:
        ClearSessions().run_from_argv(["manage.py", "clearsessions", "--traceback"])
    assert isinstance(error.value.__cause__, ReadOnlyError)


def test_another_error_stays_what_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Flush().run_from_argv(["manage.py", "flush", "--noinput", "--database", "nowhere"])


def test_call_command_raises_the_refusal_itself() -> None:
    with read_only(), pytest.raises(ReadOnlyError):
        call_command("clearsessions")
