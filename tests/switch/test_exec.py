"""`read_only exec`: one command writes through the switch, is recorded, and nobody else is let in."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.switch.switching import (
    default_of,
    notes,
    process,
    read_only,
    run,
    running,
    state,
    switched,
    transaction,
    value,
)
from tests.switch.test_verify import verify

WRITE = (
    "from django.db import connections; "
    "connections['scratch'].cursor().execute(\"INSERT INTO note (text) VALUES ('through')\")"
)
SHELL = ("shell", "--verbosity=0", "--command")


def last(pair: Scratch) -> dict[str, Any]:
    """Return the last audit event."""
    with pair.superuser() as superuser:
        names = ("kind", "by", "os_user", "details")
        row = superuser.execute(
            "SELECT kind, by, os_user, details - 'writes' FROM readonly_router_event ORDER BY id DESC"
        )
        return dict(zip(names, row.fetchone() or (), strict=True))


def test_a_command_writes_though_the_switch_is_on(pair: Scratch, tmp_path: Path) -> None:
    switched(pair)
    outcome = process(pair, tmp_path, "exec", "--", *SHELL, WRITE)
    assert (outcome.status, notes(pair)) == (0, 1), outcome.err


def test_without_it_the_same_command_is_refused(pair: Scratch, tmp_path: Path) -> None:
    switched(pair)
    outcome = process(pair, tmp_path, "exec", "--", "shell", "--verbosity=0", "--command", "print(1)")
    assert (outcome.status, notes(pair)) == (0, 0)


def test_a_migration_runs_in_a_window(pair: Scratch, tmp_path: Path) -> None:
    switched(pair)
    outcome = process(pair, tmp_path, "exec", "--", "migrate", "sessions", "--database", pair.alias)
    with pair.superuser() as superuser:
        assert value(superuser, "SELECT to_regclass('django_session') IS NOT NULL"), outcome.err
    assert (outcome.status, state(pair).read_only) == (0, True)


def test_it_is_recorded_with_who_and_how_it_ended(pair: Scratch) -> None:
    switched(pair)
    outcome = read_only(pair, "exec", "--by", "ann", "--", "check", "--database", pair.alias)
    assert outcome.status == 0
    assert last(pair) == {
        "kind": "exec",
        "by": "ann",
        "os_user": last(pair)["os_user"],
        "details": {"command": ["check", "--database", pair.alias], "status": 0},
    }


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ((*SHELL, "import sys; sys.exit(7)"), 7),
        (("check", "--database", "nowhere"), 2),
        (("no_such_command",), 1),
        ((*SHELL, "raise ZeroDivisionError"), 1),
    ],
)
def test_its_exit_status_is_the_commands(
    pair: Scratch, tmp_path: Path, command: tuple[str, ...], status: int
) -> None:
    switched(pair)
    assert process(pair, tmp_path, "exec", "--", *command).status == status
    assert last(pair)["details"]["status"] == status


def test_it_is_recorded_before_it_runs(pair: Scratch, tmp_path: Path) -> None:
    """A command that is killed leaves its name, and no status."""
    switched(pair)
    wait = "import os, time; print('running', flush=True); time.sleep(60)"
    with running(pair, tmp_path, "exec", "--", *SHELL, wait) as command:
        wait_for(lambda: "running" in (tmp_path / "out").read_text())
        command.end(signal.SIGKILL)
    assert last(pair)["details"] == {"command": [*SHELL, wait]}
    assert state(pair).read_only
    assert "exit status not known" in read_only(pair, "history").out


def test_its_sessions_do_not_outlive_it(pair: Scratch, tmp_path: Path) -> None:
    switched(pair)
    wait = f"{WRITE}; import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    process(pair, tmp_path, "exec", "--", *SHELL, wait)
    with pair.superuser() as superuser:
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND datname = current_database()"
        wait_for(lambda: value(superuser, query, pair.writer) == 0)


def test_nobody_else_is_let_in_meanwhile(pair: Scratch, tmp_path: Path) -> None:
    switched(pair)
    wait = f"{WRITE}; print('running', flush=True); import time; time.sleep(60)"
    with running(pair, tmp_path, "exec", "--", *SHELL, wait):
        wait_for(lambda: "running" in (tmp_path / "out").read_text())
        assert default_of(pair) == "on"


def test_what_it_wrote_is_told_by_verify(pair: Scratch, tmp_path: Path) -> None:
    switched(pair)
    process(pair, tmp_path, "exec", "--", *SHELL, WRITE)
    outcome = verify(pair)
    assert (outcome.status, "public.note" in outcome.out) == (1, True)


def test_a_command_that_wrote_nothing_leaves_it_clean(pair: Scratch) -> None:
    switched(pair)
    read_only(pair, "exec", "--", "check")
    assert verify(pair).status == 0, verify(pair).out


def test_the_switch_off_is_no_hindrance(pair: Scratch, tmp_path: Path) -> None:
    outcome = process(pair, tmp_path, "exec", "--", *SHELL, WRITE)
    assert (outcome.status, notes(pair), last(pair)["kind"]) == (0, 1, "exec")


def test_a_window_that_is_proved_anew_waits_for_it(pair: Scratch, tmp_path: Path) -> None:
    """A session that was made writable began read-only, and is no less in the way of a receipt."""
    with transaction(pair), running(pair, tmp_path / "on", "on") as command:
        command.wait_for_line("begin read-only")
        command.end(signal.SIGKILL)
    wait = f"{WRITE}; print('running', flush=True); import time; time.sleep(60)"
    with running(pair, tmp_path / "exec", "exec", "--", *SHELL, wait):
        wait_for(lambda: "running" in (tmp_path / "exec" / "out").read_text())
        outcome = read_only(pair, "on", "--deadline", "300ms", "--grace", "1h")
    assert (outcome.status, "held out" in outcome.err) == (3, True), outcome.err


def test_no_command_is_a_mistake() -> None:
    assert run("exec", "--").status == 2


def test_a_database_without_the_events_is_told_in_one_line(pair: Scratch) -> None:
    pair.run("DROP TABLE readonly_router_event")
    outcome = read_only(pair, "exec", "--", "check")
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "run manage.py migrate readonly_router" in outcome.err
