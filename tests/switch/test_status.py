"""`read_only status`: what it says, for people, for programs and by its exit code."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from readonly_router import mode
from readonly_router.conf import ProcessMode
from tests.database import Scratch
from tests.switch.switching import (
    default_of,
    process,
    read_only,
    run,
    running,
    spelt,
    switched,
    transaction,
)

pytestmark = pytest.mark.usefixtures("unsettled")


def facts(pair: Scratch, *arguments: str) -> dict[str, Any]:
    """Return what status says of the pair as JSON."""
    found = json.loads(read_only(pair, "status", "--json", *arguments).out)[pair.alias]
    assert isinstance(found, dict)
    return found


def test_a_writable_pair_is_told_so(pair: Scratch) -> None:
    outcome = read_only(pair, "status")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines()[0] == f"{pair.alias}: writable (writer role {pair.writer})"


def test_a_read_only_pair_is_told_with_who_when_why_and_until_when(pair: Scratch) -> None:
    switched(pair, "--reason", "moving", "--by", "ann", "--eta", "2h")
    lines = read_only(pair, "status").out.splitlines()
    assert lines[0] == f"{pair.alias}: READ-ONLY (writer role {pair.writer})"
    assert lines[1].startswith("  since 20")
    assert lines[1].endswith(" by ann, proved")
    assert lines[2] == "  reason: moving"
    assert lines[3].startswith("  expected to end: 20")
    assert lines[4] == f"  fenced: {pair.writer}"


def test_the_facts_for_programs(pair: Scratch) -> None:
    before = datetime.now(timezone.utc)
    receipt = switched(pair, "--reason", "moving", "--by", "ann", "--eta", "2h")
    found = facts(pair)
    assert (found["read_only"], found["switch"], found["source"], found["proved"]) == (True, True, "switch", True)
    assert (found["reason"], found["by"], found["fenced"]) == ("moving", "ann", [pair.writer])
    assert before <= datetime.fromisoformat(found["since"]) <= receipt.proved_at
    assert found["event"] == receipt.event


def test_the_facts_of_a_writable_pair(pair: Scratch) -> None:
    found = facts(pair)
    assert (found["read_only"], found["switch"], found["source"]) == (False, False, "default")
    assert {found[name] for name in ("since", "reason", "eta", "by")} == {None, ""}
    assert (found["fenced"], found["event"]) == ([], None)


@pytest.mark.parametrize(("switch", "status"), [(False, 0), (True, 1)])
def test_the_exit_code_tells_on_request(pair: Scratch, switch: bool, status: int) -> None:
    if switch:
        switched(pair)
    assert read_only(pair, "status").status == 0
    assert read_only(pair, "status", "--exit-code").status == status


@pytest.mark.parametrize("arguments", [("--exit-code",), ("--exit-code", "--json"), ()])
def test_a_server_that_cannot_be_reached_is_unknown(
    pair: Scratch, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    nowhere = {
        "DATABASE_URL": "postgres://somebody:secret@127.0.0.1:1/nowhere",
        "DATABASE_READONLY_URL": "postgres://reader:secret@127.0.0.1:1/nowhere",
    }
    outcome = process(pair, tmp_path, "status", *arguments, **nowhere)
    assert (outcome.status, "secret" in outcome.out + outcome.err) == (2, False)
    if "--json" in arguments:
        assert json.loads(outcome.out)[pair.alias]["read_only"] is None
    else:
        assert outcome.out.startswith(f"{pair.alias}: UNKNOWN: Cannot log in")


@pytest.mark.parametrize("arguments", [("--database", "nowhere"), ("--admin-url", "nonsense")])
def test_a_mistake_is_never_an_answer(pair: Scratch, arguments: tuple[str, ...]) -> None:
    """1 would say read-only to a script."""
    assert run("status", "--exit-code", *arguments).status == 2


def test_it_works_through_the_twin_where_the_writer_cannot_log_in(pair: Scratch, tmp_path: Path) -> None:
    switched(pair, "--reason", "moving")
    outcome = process(pair, tmp_path, "status", "--exit-code", DATABASE_URL=pair.url(pair.writer, "wrong"))
    assert (outcome.status, "reason: moving" in outcome.out) == (1, True)


def test_it_changes_nothing(pair: Scratch) -> None:
    with pair.login(pair.writer) as idle:
        read_only(pair, "status")
        assert idle.execute("SELECT 1").fetchone() == (1,)
    assert (spelt(pair), default_of(pair)) == ([], "off")


def test_a_switch_that_is_not_proved_yet_is_told_so(pair: Scratch, tmp_path: Path) -> None:
    with transaction(pair), running(pair, tmp_path, "on") as command:
        command.wait_for_line("begin read-only")
        outcome = read_only(pair, "status", "--exit-code")
    assert (outcome.status, "NOT PROVED: run read_only on again, or off" in outcome.out) == (1, True)


def test_the_sessions_of_every_role_are_counted(pair: Scratch) -> None:
    with pair.login(pair.writer), pair.login(pair.writer), pair.login(pair.twin):
        found = facts(pair, "--admin-url", pair.admin_url)
    assert {role: found["sessions"].get(role) for role in (pair.writer, pair.twin)} == {
        pair.writer: 2,
        pair.twin: 1,
    }


@pytest.mark.parametrize(
    ("process_mode", "switch", "read_only_here"),
    [(ProcessMode.READ_ONLY, False, True), (ProcessMode.WRITABLE, True, False)],
)
def test_a_process_with_a_mode_of_its_own_says_so(
    pair: Scratch, process_mode: ProcessMode, switch: bool, read_only_here: bool
) -> None:
    if switch:
        switched(pair)
    mode.set_process(process_mode)
    found = facts(pair)
    assert (found["source"], found["switch"], found["read_only"]) == ("process", switch, read_only_here)
    assert "this process: " in read_only(pair, "status").out


def test_the_setting_alone_decides(pair: Scratch) -> None:
    """Events are words about it."""
    switched(pair)
    with pair.superuser() as superuser:
        superuser.execute("TRUNCATE readonly_router_event")
    found = facts(pair)
    assert (found["read_only"], found["proved"], found["since"], found["reason"]) == (True, False, None, "")


def test_a_process_that_does_not_know_the_writer_says_so(pair: Scratch) -> None:
    mode.set_process(ProcessMode.LOCKED)
    try:
        outcome = read_only(pair, "status", "--exit-code")
    finally:
        mode.set_process(None)
    assert (outcome.status, "DB_READ_ONLY=locked" in outcome.out, "writable" in outcome.out) == (2, True, False)
