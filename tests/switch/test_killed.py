"""The command ended from outside at each of its steps: what is left is told truly, and on or off completes it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from django.db import connections

from readonly_router import ModeError, writable
from readonly_router.logins import place_of
from readonly_router.switch import events as logged
from readonly_router.switch import preflight
from readonly_router.switch.flip import flip_on
from readonly_router.switch.spec import Operator, Order, print_nothing
from readonly_router.switch.targets import hands, target_for
from readonly_router.switch.throws import Throw
from readonly_router.switch.undo import undo
from readonly_router.switch.waits import Waits
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.switch.switching import (
    SIGNALS,
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

# Gives a command that has come to a step, and what keeps it there for as long as the block lasts.
Step = Callable[[Scratch, Path], AbstractContextManager[Running]]


@contextmanager
def before_the_flip_is_committed(pair: Scratch, folder: Path) -> Iterator[Running]:
    with locked(pair), running(pair, folder, "on") as command:
        wait_until_blocked(pair)
        yield command


@contextmanager
def in_the_drain(pair: Scratch, folder: Path) -> Iterator[Running]:
    with transaction(pair), running(pair, folder, "on") as command:
        command.wait_for_line("begin read-only")
        yield command


@contextmanager
def before_the_receipt_is_committed(pair: Scratch, folder: Path) -> Iterator[Running]:
    with transaction(pair) as held, running(pair, folder, "on") as command:
        command.wait_for_line("begin read-only")
        with locked(pair):
            held.close()
            wait_until_blocked(pair)
            yield command


@contextmanager
def before_an_undo_is_committed(pair: Scratch, folder: Path) -> Iterator[Running]:
    with transaction(pair), running(pair, folder, "on", "--deadline", "500ms") as command:
        command.wait_for_line("begin read-only")
        with locked(pair):
            wait_until_blocked(pair)
            yield command


@contextmanager
def when_the_receipt_is_written(pair: Scratch, folder: Path) -> Iterator[Running]:
    with running(pair, folder, "on") as command:
        command.wait_for_line("receipt written")
        yield command


@contextmanager
def before_off_is_committed(pair: Scratch, folder: Path) -> Iterator[Running]:
    switched(pair)
    with locked(pair), running(pair, folder, "off") as command:
        wait_until_blocked(pair)
        yield command


@contextmanager
def while_off_waits_for_readers(pair: Scratch, folder: Path) -> Iterator[Running]:
    switched(pair)
    with pair.login(pair.writer) as reader, running(pair, folder, "off", SWITCH_GRACE="20s") as command:
        reader.execute("BEGIN")
        wait_for(lambda: "off" in events(pair))
        yield command


# What each leaves: whether it is read-only, and proved.
LEFT: dict[Step, tuple[bool, bool]] = {
    before_the_flip_is_committed: (False, False),
    in_the_drain: (True, False),
    before_the_receipt_is_committed: (True, False),
    before_an_undo_is_committed: (True, False),
    when_the_receipt_is_written: (True, True),
    before_off_is_committed: (True, True),
    while_off_waits_for_readers: (False, False),
}
every_step = pytest.mark.parametrize("step", LEFT, ids=lambda step: step.__name__)


def kill(pair: Scratch, folder: Path, step: Step) -> None:
    """Kill a command at a step, and let go of what kept it there."""
    with step(pair, folder) as command:
        command.end(signal.SIGKILL)
    with pair.superuser() as superuser:
        query = """SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'read_only'"""
        wait_for(lambda: value(superuser, query) == 0)


@every_step
def test_status_tells_truly_what_a_killed_command_left(pair: Scratch, tmp_path: Path, step: Step) -> None:
    kill(pair, tmp_path, step)
    is_on, proved = LEFT[step]
    found = state(pair)
    assert (found.read_only, found.proved, default_of(pair)) == (is_on, proved, "on" if is_on else "off")
    assert read_only(pair, "status", "--exit-code").status == int(is_on)
    assert ("NOT PROVED" in read_only(pair, "status").out) == (is_on and not proved)


@every_step
def test_on_completes_what_a_killed_command_left(pair: Scratch, tmp_path: Path, step: Step) -> None:
    kill(pair, tmp_path, step)
    receipt = switched(pair)
    assert (state(pair).proved, default_of(pair), receipt.event) == (True, "on", state(pair).event)
    # What was counted and not committed is told all the same: the server's counters know no difference.
    assert read_only(pair, "verify").status == int(step is before_off_is_committed)


@every_step
def test_off_completes_what_a_killed_command_left(pair: Scratch, tmp_path: Path, step: Step) -> None:
    kill(pair, tmp_path, step)
    assert (read_only(pair, "off").status, default_of(pair), state(pair).read_only) == (0, "off", False)
    pair.run("INSERT INTO note (text) VALUES ('open again')")


def test_off_again_ends_what_a_killed_one_left_read_only(pair: Scratch, tmp_path: Path) -> None:
    """A program that keeps its connection, or a pooler, would stay read-only for ever."""
    switched(pair)
    with pair.login(pair.writer) as reader:
        with running(pair, tmp_path, "off", SWITCH_GRACE="20s") as command:
            reader.execute("BEGIN")
            wait_for(lambda: "off" in events(pair))
            command.process.kill()
            command.process.wait()
        reader.execute("COMMIT")
        with pair.login(pair.writer) as anew:
            assert any("run off again" in line for line in state(pair).warnings)
            outcome = read_only(pair, "off")
            assert (outcome.status, "ended 1 idle sessions" in outcome.err) == (0, True), outcome.err
            with pytest.raises(psycopg.OperationalError):
                reader.execute("SELECT 1")
            anew.execute("INSERT INTO note (text) VALUES ('begun since')")
        assert (state(pair).unfinished, "nothing to do" in read_only(pair, "off").err) == (None, True)


def test_nobody_may_begin_to_write_while_the_receipt_is_written(pair: Scratch, tmp_path: Path) -> None:
    connections[pair.alias].close()
    with before_the_receipt_is_committed(pair, tmp_path), writable(), pytest.raises(ModeError):
        connections[pair.alias].cursor()


def test_a_rerun_proves_what_the_killed_command_switched(pair: Scratch, tmp_path: Path) -> None:
    """Who wrote on since the first command is waited for by the second: the promise is the receipt's."""
    with in_the_drain(pair, tmp_path) as command:
        command.end(signal.SIGKILL)
        outcome = read_only(pair, "on", "--deadline", "300ms")
    assert (outcome.status, "on already since" in outcome.err, "but not proved" in outcome.err) == (3, True, True)
    assert (default_of(pair), events(pair)) == ("off", ["on", "undone"])


# -- signals that can be caught


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_in_the_drain_undoes_the_switch(pair: Scratch, tmp_path: Path, number: signal.Signals) -> None:
    with in_the_drain(pair, tmp_path) as command:
        outcome = command.end(number)
        assert (outcome.status, default_of(pair), events(pair)) == (SIGNALS[number], "off", ["on", "undone"]), (
            outcome.err
        )
    assert "Interrupted; what this command had switched was undone." in outcome.err
    assert "Traceback" not in outcome.err


def test_a_signal_after_the_proof_is_not_called_undone(pair: Scratch, tmp_path: Path) -> None:
    """While the answer is being written: to a reader who does not read."""
    reads, writes = os.pipe()
    try:
        os.set_blocking(writes, False)
        with suppress(BlockingIOError):
            while os.write(writes, b" "):
                pass
        os.set_blocking(writes, True)
        with running(pair, tmp_path, "on", "--json", stdout=writes) as command:
            command.wait_for_line("receipt written")
            outcome = command.end(signal.SIGTERM)
    finally:
        os.close(reads)
        os.close(writes)
    is_on = default_of(pair) == "on"
    assert outcome.status in {130, 143}
    assert ("was undone" in outcome.err, "see read_only status" in outcome.err) == (not is_on, is_on)


def test_a_signal_before_the_flip_is_committed_leaves_nothing(pair: Scratch, tmp_path: Path) -> None:
    with before_the_flip_is_committed(pair, tmp_path) as command:
        outcome = command.end(signal.SIGINT)
        assert (outcome.status, default_of(pair), events(pair)) == (130, "off", [])


def test_a_signal_before_the_receipt_is_committed_undoes_the_switch(pair: Scratch, tmp_path: Path) -> None:
    with transaction(pair) as held, running(pair, tmp_path, "on") as command:
        command.wait_for_line("begin read-only")
        with locked(pair) as release:
            held.close()
            wait_until_blocked(pair)
            command.process.send_signal(signal.SIGTERM)
            command.wait_for_line("drained")
            release()
            outcome = command.end()
    assert (outcome.status, default_of(pair), events(pair)) == (130, "off", ["on", "undone"])


def test_a_second_signal_during_the_undo_is_not_called_undone(pair: Scratch, tmp_path: Path) -> None:
    with in_the_drain(pair, tmp_path) as command, locked(pair):
        command.process.send_signal(signal.SIGINT)
        wait_until_blocked(pair)
        outcome = command.end(signal.SIGINT)
    assert (outcome.status != 0, default_of(pair), state(pair).proved) == (True, "on", False)
    assert ("Not undone" in outcome.err, "was undone" in outcome.err) == (True, False)


def test_an_undo_goes_on_where_an_interrupt_left_a_query_under_way(pair: Scratch) -> None:
    # A signal between psycopg's sending and waiting: nothing else can be sent on that session.
    target = target_for(pair.alias)
    order = Order(operator=Operator.here("a test"))
    with hands(target) as opened:
        connection, log = opened.operator, logged.required(logged.log_of(opened.site, target), target)
        throw = Throw(
            target=target,
            hands=opened,
            log=log,
            state=preflight.state_of(opened, target, log),
            own=set(opened.pids),
            waits=Waits("", 0, print_nothing),
            place=place_of(connection),
        )
        flip_on(connection, log, target, order, (target.writer,))
        connection.pgconn.send_query(b"SELECT pg_sleep(600)")
        undo([throw], order, KeyboardInterrupt())
    assert (default_of(pair), events(pair)) == ("off", ["on", "undone"])
