"""`read_only off`: it opens what on closed and only that, and nobody stays read-only behind its back."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.test import override_settings

from tests.database import Scratch
from tests.site import SECONDS
from tests.switch.switching import (
    Running,
    default_of,
    events,
    read_only,
    running,
    spelt,
    state,
    switched,
    transaction,
    value,
    wait_until_blocked,
)

pytestmark = pytest.mark.usefixtures("unsettled")


def test_new_sessions_of_the_writer_may_write_again(pair: Scratch) -> None:
    switched(pair)
    outcome = read_only(pair, "off")
    assert (outcome.status, outcome.out) == (0, f"{pair.alias}: writable\n")
    assert (default_of(pair), spelt(pair)) == ("off", [])
    pair.run("INSERT INTO note (text) VALUES ('again')")


def test_it_notes_who_and_why(pair: Scratch) -> None:
    switched(pair)
    read_only(pair, "off", "--reason", "moved", "--by", "ann")
    with pair.superuser() as superuser:
        row = superuser.execute("SELECT kind, reason, by FROM readonly_router_event ORDER BY id DESC").fetchone()
    assert row == ("off", "moved", "ann")


def test_off_already_says_so_and_changes_nothing(pair: Scratch) -> None:
    outcome = read_only(pair, "off")
    assert (outcome.status, "off already: nothing to do" in outcome.err, events(pair)) == (0, True, [])


def test_it_can_be_switched_on_and_off_again(pair: Scratch) -> None:
    for _ in range(2):
        switched(pair)
        read_only(pair, "off")
    assert (events(pair), default_of(pair)) == (["on", "off", "on", "off"], "off")


def test_an_idle_session_that_began_read_only_is_ended(pair: Scratch) -> None:
    """A program that keeps its connection, or a pooler, gets a writable one next."""
    switched(pair)
    with pair.login(pair.writer) as stale:
        read_only(pair, "off")
        with pytest.raises(psycopg.OperationalError):
            stale.execute("SELECT 1")


@override_settings(READONLY_ROUTER_GRACE="500ms")
def test_a_session_that_reads_while_off_is_left_and_named(pair: Scratch) -> None:
    switched(pair)
    with pair.login(pair.writer) as reader:
        reader.execute("BEGIN")
        outcome = read_only(pair, "off")
        assert value(reader, "SELECT 1") == 1
        named = f"still read-only until it connects anew: process {reader.info.backend_pid} of '{pair.writer}'"
    assert (outcome.status, named in outcome.err, default_of(pair)) == (0, True, "off")


def test_a_session_that_becomes_idle_within_the_grace_is_ended(pair: Scratch, tmp_path: Path) -> None:
    switched(pair)
    with pair.login(pair.writer) as reader, running(pair, tmp_path, "off", SWITCH_GRACE="20s") as command:
        reader.execute("BEGIN")
        with pair.superuser() as superuser:
            while value(superuser, "SELECT count(*) FROM readonly_router_event WHERE kind = 'off'") == 0:
                assert command.process.poll() is None, command.err
        reader.execute("COMMIT")
        assert command.end().status == 0
        with pytest.raises(psycopg.OperationalError):
            reader.execute("SELECT 1")


@contextmanager
def committing(pair: Scratch, folder: Path) -> Iterator[tuple[Running, Callable[[], object]]]:
    """Run `off` up to its commit, which waits for the function's call, as for a synchronous standby."""
    with pair.superuser() as superuser:
        superuser.execute("SELECT pg_advisory_lock(7)")
        superuser.execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END'"
        )
        superuser.execute(
            "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON readonly_router_event"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()"
        )
        with running(pair, folder, "off") as command:
            wait_until_blocked(pair)
            yield command, lambda: superuser.execute("SELECT pg_advisory_unlock(7)")


def test_a_session_that_begins_while_off_commits_does_not_stay_read_only(pair: Scratch, tmp_path: Path) -> None:
    switched(pair)
    with committing(pair, tmp_path) as (command, commit), pair.login(pair.writer) as stale:
        commit()
        assert command.end().status == 0
        with pytest.raises(psycopg.OperationalError):
            stale.execute("SELECT 1")


def test_a_session_of_who_heard_of_off_is_left_alone(pair: Scratch, tmp_path: Path) -> None:
    """It began writable; a query would be on its way to it, however late the command learns of its commit."""
    switched(pair)
    with pair.login(pair.twin) as listening, committing(pair, tmp_path) as (command, commit):
        listening.execute("LISTEN readonly_router")
        command.process.send_signal(signal.SIGSTOP)
        commit()
        assert [news.channel for news in listening.notifies(timeout=SECONDS, stop_after=1)] == ["readonly_router"]
        with pair.login(pair.writer) as anew:
            command.process.send_signal(signal.SIGCONT)
            assert command.end().status == 0
            anew.execute("INSERT INTO note (text) VALUES ('heard')")


def test_who_missed_that_it_is_off_hears_it_from_the_next_off(pair: Scratch) -> None:
    with pair.login(pair.twin) as listening:
        listening.execute("LISTEN readonly_router")
        read_only(pair, "off")
        assert [news.channel for news in listening.notifies(timeout=SECONDS, stop_after=1)] == ["readonly_router"]


def test_a_receipt_is_no_longer_the_switchs_when_it_is_off(pair: Scratch) -> None:
    switched(pair)
    read_only(pair, "off")
    outcome = read_only(pair, "verify")
    assert (outcome.status, "No receipt is kept" in outcome.err) == (1, True)


def test_a_setting_that_is_gone_is_noted(pair: Scratch) -> None:
    """Somebody reset it, or the database is a copy: status says to run off, which must end what it says."""
    switched(pair)
    reset(pair)
    warned = [line for line in state(pair).warnings if "the setting is gone" in line]
    outcome = read_only(pair, "off")
    assert (len(warned), outcome.status, events(pair)) == (1, 0, ["on", "off"])
    assert state(pair).warnings == ()


def reset(pair: Scratch) -> None:
    """Take the setting away as a DBA would."""
    with pair.superuser() as superuser:
        superuser.execute(f'ALTER ROLE "{pair.writer}" IN DATABASE "{pair.name}" RESET ALL'.encode())


def test_a_role_that_is_left_of_several_is_opened_too(pair: Scratch) -> None:
    other = pair.role("other")
    switched(pair, "--writer", other, "--admin-url", pair.admin_url)
    reset(pair)
    read_only(pair, "off", "--admin-url", pair.admin_url)
    assert (default_of(pair, other), spelt(pair, other)) == ("off", [])


def test_an_interrupt_says_how_things_stand(pair: Scratch, tmp_path: Path) -> None:
    """Opened already, it only waits for readers: nothing is undone."""
    switched(pair)
    with pair.login(pair.writer) as reader, running(pair, tmp_path, "off", SWITCH_GRACE="20s") as command:
        reader.execute("BEGIN")
        with pair.superuser() as superuser:
            while value(superuser, "SELECT count(*) FROM readonly_router_event WHERE kind = 'off'") == 0:
                assert command.process.poll() is None, command.err
        outcome = command.end(signal.SIGINT)
    assert (outcome.status, default_of(pair)) == (130, "off")
    assert "undone" not in outcome.err


def test_a_transaction_of_another_role_is_no_hindrance(pair: Scratch) -> None:
    switched(pair)
    with pair.superuser() as superuser:
        superuser.execute("BEGIN")
        superuser.execute("INSERT INTO note (text) VALUES ('long')")
        assert read_only(pair, "off").status == 0


def test_it_needs_no_twin(pair: Scratch) -> None:
    switched(pair)
    with pair.superuser() as superuser:
        superuser.execute(f'ALTER ROLE "{pair.twin}" NOLOGIN'.encode())
    assert read_only(pair, "off").status == 0


def test_what_the_writer_wrote_before_is_there(pair: Scratch) -> None:
    with transaction(pair) as held:
        held.execute("COMMIT")
    switched(pair)
    read_only(pair, "off")
    with pair.login(pair.writer) as session:
        assert value(session, "SELECT text FROM note") == "held"
