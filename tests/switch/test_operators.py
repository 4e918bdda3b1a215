"""Two operators at once: one acts, the other is told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from readonly_router.errors import SwitchError
from readonly_router.switch.on import switch_on
from tests.database import Scratch
from tests.switch.switching import (
    default_of,
    events,
    locked,
    read_only,
    running,
    state,
    switched,
    transaction,
    value,
    wait_until_blocked,
)

pytestmark = pytest.mark.usefixtures("unsettled")


@pytest.mark.parametrize("verb", ["on", "off"])
def test_who_comes_second_is_told_and_changes_nothing(pair: Scratch, tmp_path: Path, verb: str) -> None:
    with transaction(pair) as held, running(pair, tmp_path, "on") as first:
        first.wait_for_line("begin read-only")
        second = read_only(pair, verb)
        held.execute("COMMIT")
        assert first.end().status == 0
    assert (second.status, "Another read_only command is at work" in second.err) == (1, True)
    assert (state(pair).proved, events(pair)) == (True, ["on"])


def test_the_other_is_named_by_its_process(pair: Scratch, tmp_path: Path) -> None:
    with transaction(pair), running(pair, tmp_path, "on") as first, pair.superuser() as superuser:
        first.wait_for_line("begin read-only")
        query = """SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'read_only'"""
        assert f"(process {value(superuser, query)})" in read_only(pair, "off").err


@pytest.mark.parametrize("verb", ["status", "history"])
def test_who_only_asks_is_answered(pair: Scratch, tmp_path: Path, verb: str) -> None:
    with transaction(pair), running(pair, tmp_path, "on") as first:
        first.wait_for_line("begin read-only")
        assert read_only(pair, verb).status == 0


def test_who_comes_second_to_off_is_told(pair: Scratch, tmp_path: Path) -> None:
    switched(pair)
    with locked(pair) as release, running(pair, tmp_path, "off") as first:
        wait_until_blocked(pair)
        second = read_only(pair, "on")
        release()
        assert first.end().status == 0
    assert (second.status, default_of(pair), events(pair)) == (1, "off", ["on", "off"])


def test_of_many_at_the_same_moment_one_acts(pair: Scratch) -> None:
    def attempt(_number: int) -> str:
        """Switch on, or be told: perhaps by the end of a session, which the drain of another did not spare."""
        try:
            return "acted" if switch_on(pair.alias, grace=0) else ""
        except SwitchError as error:
            return str(error)

    with ThreadPoolExecutor(6) as pool:
        assert "acted" in set(pool.map(attempt, range(6)))
    assert (events(pair), state(pair).proved) == (["on"], True)
