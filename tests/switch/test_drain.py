"""The drain on a real server: who is waited for, who is ended, and what is undone at the deadline."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.plugin import url_for
from tests.switch.switching import (
    default_of,
    events,
    notes,
    read_only,
    running,
    state,
    switched,
    transaction,
    value,
)

# How many sessions are past their login, and have no name yet.
NAMELESS = """SELECT count(*) FROM pg_locks l WHERE locktype = 'virtualxid' AND NOT EXISTS
    (SELECT FROM pg_stat_activity a WHERE a.pid = l.pid AND usesysid IS NOT NULL)"""
MISSED = ("--deadline", "300ms")


def test_an_idle_session_is_ended_and_counted(pair: Scratch) -> None:
    with pair.login(pair.writer) as idle:
        assert switched(pair).ended == 1
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")


def test_nobody_else_is_ended(pair: Scratch) -> None:
    other = pair.role("other")
    with pair.login(other) as bystander, pair.login(pair.twin) as reader, pair.superuser() as superuser:
        with pair.login(pair.writer):
            switched(pair, "--admin-url", pair.admin_url)
        for session in (bystander, reader, superuser):
            assert value(session, "SELECT 1") == 1


def test_a_session_of_the_writer_in_another_database_is_left_alone(pair: Scratch) -> None:
    url = url_for(pair.server, database="postgres", user=pair.writer, password=pair.password)
    with psycopg.connect(url, autocommit=True) as elsewhere:
        switched(pair)
        assert value(elsewhere, "SHOW default_transaction_read_only") == "off"


def test_an_idle_session_may_go_on_within_the_grace(pair: Scratch, tmp_path: Path) -> None:
    with pair.login(pair.writer) as session, running(pair, tmp_path, "on", "--grace", "20s") as command:
        session.execute("SELECT 1")
        command.wait_for_line("begin read-only")
        session.execute("INSERT INTO note (text) VALUES ('within the grace')")
        session.close()
        assert command.end().status == 0
    assert notes(pair) == 1


def test_a_transaction_that_ends_in_time_lands_before_the_receipt(pair: Scratch, tmp_path: Path) -> None:
    with running(pair, tmp_path, "on") as command, transaction(pair) as held:
        command.wait_for_line("sessions to drain")
        before = value(held, "SELECT clock_timestamp()")
        held.execute("COMMIT")
        assert command.end().status == 0
    assert notes(pair) == 1
    assert proved_at(pair) > before


def proved_at(pair: Scratch) -> datetime:
    with pair.superuser() as superuser:
        found = value(superuser, "SELECT receipt ->> 'proved_at' FROM readonly_router_event WHERE kind = 'on'")
    return datetime.fromisoformat(found)


def test_a_deadline_that_is_missed_undoes_everything_and_exits_3(pair: Scratch, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    with transaction(pair):
        outcome = read_only(pair, "on", *MISSED, "--receipt", str(file))
    assert (outcome.status, "was not drained within 0.3 s, so the switch was undone" in outcome.err) == (3, True)
    assert (default_of(pair), events(pair), file.exists()) == ("off", ["on", "undone"], False)
    assert not state(pair).read_only


def test_the_transaction_that_held_out_commits_afterwards(pair: Scratch) -> None:
    with transaction(pair) as held:
        read_only(pair, "on", *MISSED)
        held.execute("COMMIT")
    assert notes(pair) == 1


def test_the_sessions_that_held_out_are_named(pair: Scratch) -> None:
    with transaction(pair, application_name="nightly") as held:
        outcome = read_only(pair, "on", *MISSED)
        pid = held.info.backend_pid
    (line,) = [line for line in outcome.err.splitlines() if "held out: " in line and "nightly" in line]
    assert f"process {pid} of '{pair.writer}', application 'nightly', from 127.0.0.1, idle in trans" in line


def test_the_sessions_that_began_during_an_undone_switch_are_renewed(pair: Scratch, tmp_path: Path) -> None:
    with transaction(pair), running(pair, tmp_path, "on") as command:
        command.wait_for_line("begin read-only")
        with pair.login(pair.writer) as young:
            assert value(young, "SHOW default_transaction_read_only") == "on"
            command.end(signal.SIGINT)
            with pytest.raises(psycopg.OperationalError):
                young.execute("SELECT 1")


@pytest.mark.parametrize(("options", "shown"), [((), False), (("--show-queries",), True)])
def test_query_texts_are_shown_on_request_alone(
    pair: Scratch, tmp_path: Path, options: tuple[str, ...], shown: bool
) -> None:
    with transaction(pair, text="card number") as held:
        held.execute("SELECT 'card number'")
        with running(pair, tmp_path, "on", "--deadline", "1500ms", *options) as command:
            outcome = command.end()
    progress, held_out = [
        [line for line in outcome.err.splitlines() if words in line] for words in ("to drain", "held out: ")
    ]
    assert ("card number" in progress[0], "card number" in held_out[0]) == (shown, shown)


def test_progress_tells_how_many_and_the_oldest_transaction(pair: Scratch, tmp_path: Path) -> None:
    with transaction(pair, application_name="old") as old, transaction(pair, application_name="young"):
        with running(pair, tmp_path, "on") as command:
            command.wait_for_line("2 sessions to drain; oldest: ")
        assert f"oldest: process {old.info.backend_pid} of '{pair.writer}', application 'old', from" in command.err
        assert "transaction open for" in command.err


def test_force_ends_what_is_left_at_the_deadline(pair: Scratch) -> None:
    with transaction(pair) as held:
        receipt = switched(pair, *MISSED, "--force")
        with pytest.raises(psycopg.OperationalError):
            held.execute("COMMIT")
    assert (receipt.ended, notes(pair)) == (1, 0)


def test_force_cancels_a_query_before_it_ends_its_session(pair: Scratch) -> None:
    with pair.login(pair.writer) as busy, ThreadPoolExecutor(1) as pool:
        query = pool.submit(busy.execute, "SELECT pg_sleep(60)")
        with pair.superuser() as superuser:
            pid = busy.info.backend_pid
            active = "SELECT state = 'active' FROM pg_stat_activity WHERE pid = %s"
            wait_for(lambda: value(superuser, active, pid))
        outcome = read_only(pair, "on", *MISSED, "--force")
        assert isinstance(query.exception(), psycopg.errors.QueryCanceled)
    assert (outcome.status, "cancel 1 queries" in outcome.err) == (0, True)


def test_a_session_that_is_logging_in_is_waited_for(own_pair: Scratch) -> None:
    """It read the writer's settings before the switch, and has no name yet while it sleeps."""
    with ThreadPoolExecutor(1) as pool, own_pair.superuser() as superuser:
        wrote = pool.submit(write_after_a_slow_start, own_pair)
        wait_for(lambda: value(superuser, NAMELESS) > 0)
        receipt = switched(own_pair, "--grace", "10s", "--deadline", "20s")
        assert wrote.result() < receipt.proved_at
    assert notes(own_pair) == 1


def test_logins_that_never_cease_do_not_keep_it_from_being_drained(own_pair: Scratch) -> None:
    """Who begins to log in after the switch meets it: only those that were at it before are waited for."""
    done = threading.Event()

    def log_in_again_and_again(_number: int) -> None:
        while not done.is_set():
            psycopg.connect(own_pair.server, options="-c post_auth_delay=1").close()

    with ThreadPoolExecutor(4) as pool, own_pair.superuser() as superuser:
        busy = [pool.submit(log_in_again_and_again, number) for number in range(4)]
        try:
            wait_for(lambda: value(superuser, NAMELESS) == len(busy))
            outcome = read_only(own_pair, "on", "--deadline", "20s")
        finally:
            done.set()
    assert outcome.status == 0, outcome.err


def write_after_a_slow_start(pair: Scratch) -> datetime:
    """Write as soon as the session has begun, and return when that was done."""
    with pair.login(pair.writer, options="-c post_auth_delay=2") as slow:
        slow.execute("INSERT INTO note (text) VALUES ('slow')")
        wrote = value(slow, "SELECT clock_timestamp()")
    assert isinstance(wrote, datetime)
    return wrote


def test_who_writes_through_the_switch_is_waited_for_whoever_it_is(pair: Scratch) -> None:
    with pair.superuser() as superuser:
        superuser.execute("SELECT pg_advisory_lock_shared(hashtextextended('readonly_router:writable', 0))")
        outcome = read_only(pair, "on", *MISSED)
    assert (outcome.status, "1 held out" in outcome.err) == (3, True)


def test_a_prepared_transaction_is_waited_for_and_named(own_pair: Scratch) -> None:
    with transaction(own_pair) as held:
        held.execute("PREPARE TRANSACTION 'parcel'")
    outcome = read_only(own_pair, "on", *MISSED)
    with own_pair.login(own_pair.writer) as session:
        session.execute("COMMIT PREPARED 'parcel'")
    assert outcome.status == 3
    assert f"held out: prepared transaction 'parcel' of '{own_pair.writer}'; commit or roll" in outcome.err


def test_force_leaves_prepared_transactions_to_their_owner(own_pair: Scratch) -> None:
    with transaction(own_pair) as held:
        held.execute("PREPARE TRANSACTION 'parcel'")
    assert read_only(own_pair, "on", *MISSED, "--force").status == 3
    with own_pair.login(own_pair.writer) as session:
        session.execute("ROLLBACK PREPARED 'parcel'")
    assert default_of(own_pair) == "off"


def test_a_prepared_transaction_that_is_committed_in_time_lands(own_pair: Scratch, tmp_path: Path) -> None:
    with transaction(own_pair) as held:
        held.execute("PREPARE TRANSACTION 'parcel'")
    with running(own_pair, tmp_path, "on") as command:
        command.wait_for_line("1 prepared transactions")
        with own_pair.superuser() as superuser:
            superuser.execute("COMMIT PREPARED 'parcel'")
        assert command.end().status == 0
    assert notes(own_pair) == 1
    assert read_only(own_pair, "verify").status == 0
