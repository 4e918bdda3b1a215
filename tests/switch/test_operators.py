"""Two operators at once: one acts, the other is told."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from readonly_router.errors import SwitchError
from readonly_router.mark import SWITCH_LOCK
from readonly_router.switch.on import switch_on
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.switch.switching import (
    Running,
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
        assert (
            f"(process {value(superuser, query)} of role '{pair.writer}', ended by SELECT pg_terminate_backend("
            in read_only(pair, "off").err
        )


def test_a_command_that_has_just_ended_is_in_nobodys_way(pair: Scratch) -> None:
    """Its session, and the lock with it, ends a moment after it."""
    tried = """SELECT FROM pg_stat_activity WHERE datname = current_database()
        AND pid <> pg_backend_pid() AND strpos(query, 'pg_try_advisory_lock') > 0"""
    with pair.superuser() as ended, pair.superuser() as superuser, ThreadPoolExecutor(1) as other:
        ended.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [SWITCH_LOCK])
        outcome = other.submit(read_only, pair, "on")
        wait_for(lambda: outcome.done() or superuser.execute(tried).rowcount > 0)
        ended.execute("SELECT pg_advisory_unlock_all()")
        assert outcome.result().status == 0, outcome.result().err


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


@contextmanager
def asleep(pair: Scratch, folder: Path) -> Iterator[Running]:
    """Have a command lose its sessions in the middle of a drain without knowing: a laptop that was closed."""
    with transaction(pair), running(pair, folder, "on", "--deadline", "300s") as command:
        command.wait_for_line("begin read-only")
        command.process.send_signal(signal.SIGSTOP)
        with pair.superuser() as superuser:
            ours = "FROM pg_stat_activity WHERE application_name = 'read_only' AND datname = current_database()"
            superuser.execute(f"SELECT pg_terminate_backend(pid, 5000) {ours}".encode())
        yield command


def test_who_lost_the_lock_undoes_nothing_that_another_proved(pair: Scratch, tmp_path: Path) -> None:
    with asleep(pair, tmp_path) as first:
        assert read_only(pair, "on", "--force", "--deadline", "0s").status == 0
        receipt = state(pair).digest
        outcome = first.end(signal.SIGCONT)
    assert (outcome.status, "another read_only on proved the switch" in outcome.err) == (1, True), outcome.err
    assert (state(pair).digest, default_of(pair), events(pair)) == (receipt, "on", ["on"])


def test_who_lost_the_lock_undoes_nothing_while_another_is_at_work(pair: Scratch, tmp_path: Path) -> None:
    with asleep(pair, tmp_path / "one") as first, running(pair, tmp_path / "other", "on") as second:
        second.wait_for_line("proving it now")
        outcome = first.end(signal.SIGCONT)
        assert (default_of(pair), events(pair)) == ("on", ["on"])
    assert (outcome.status, "Another read_only command is at work" in outcome.err) == (1, True), outcome.err


def test_who_lost_the_lock_alone_undoes_its_own(pair: Scratch, tmp_path: Path) -> None:
    with asleep(pair, tmp_path) as first:
        assert first.end(signal.SIGCONT).status == 1
    assert (default_of(pair), events(pair)) == ("off", ["on", "undone"])
