"""`read_only verify` when transaction ids moved: told apart from writes where it can be, and else not clean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import connections
from psycopg import sql

from readonly_router.switch import standing
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.ledger.servers import Server
from tests.switch.switching import Outcome, notes, process, read_only, state, switched, transaction, value
from tests.switch.test_verify import verify, write


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give sessions little time to be counted: here they either are gone, or are never to be believed."""
    monkeypatch.setattr(standing, "SETTLE_SECONDS", 0.3)


def take_an_id(pair: Scratch, database: str = "") -> None:
    """Take a transaction id, and write nothing."""
    text = "SELECT pg_current_xact_id()"
    if not database:
        write(pair, text)
        return
    with psycopg.connect(pair.server, autocommit=True) as elsewhere:
        elsewhere.execute(text.encode())


MOVED = "note: transaction ids moved: "


def test_a_transaction_of_another_database_is_told_and_clean(pair: Scratch) -> None:
    switched(pair)
    take_an_id(pair, "postgres")
    outcome = verify(pair)
    assert (outcome.status, MOVED in outcome.out, "nothing was written" in outcome.out) == (0, True, True)


@pytest.mark.parametrize("text", ["ANALYZE", "VACUUM ANALYZE", "VACUUM FREEZE"])
def test_what_autovacuum_does_is_clean(pair: Scratch, text: str) -> None:
    pair.run(
        "INSERT INTO note (text) SELECT 'early' FROM generate_series(1, 100)", "DELETE FROM note WHERE id < 50"
    )
    switched(pair)
    write(pair, text, "SELECT pg_current_xact_id()")
    outcome = verify(pair)
    assert (outcome.status, MOVED in outcome.out) == (0, True), outcome.out


def test_a_transaction_that_wrote_nothing_is_told_and_clean(pair: Scratch) -> None:
    switched(pair)
    take_an_id(pair)
    assert verify(pair).status == 0


def test_counters_that_were_reset_leave_it_untold(pair: Scratch) -> None:
    pair.run("INSERT INTO note (text) VALUES ('early')")
    switched(pair)
    write(pair, "SELECT pg_stat_reset()", "SELECT pg_current_xact_id()")
    outcome = verify(pair)
    assert (outcome.status, "counters were reset since" in outcome.out) == (1, True), outcome.out


def test_counters_that_do_not_count_leave_it_untold(pair: Scratch) -> None:
    with pair.superuser() as superuser:
        superuser.execute(sql.SQL("ALTER DATABASE {} SET track_counts = off").format(sql.Identifier(pair.name)))
    switched(pair)
    write(pair, "INSERT INTO note (id, text) VALUES (9, 'late')")
    outcome = verify(pair)
    assert (outcome.status, "track_counts" in outcome.out) == (1, True), outcome.out


def test_a_session_that_went_on_to_a_long_query_is_not_believed(pair: Scratch) -> None:
    """A session reports what it wrote when it is idle: busy ever since, it has not."""
    with pair.superuser() as busy, ThreadPoolExecutor(1) as pool:
        switched(pair)
        busy.execute("SELECT 1")
        busy.execute("INSERT INTO note (id, text) VALUES (9, 'late')")
        query = pool.submit(busy.execute, "SELECT pg_sleep(60)")
        try:
            with pair.superuser() as superuser:
                active = (
                    "SELECT now() - state_change > '1s' AND state = 'active' FROM pg_stat_activity WHERE pid = %s"
                )
                wait_for(lambda: value(superuser, active, busy.info.backend_pid))
            assert verify(pair).status == 1
        finally:
            busy.cancel_safe()
            query.exception()


@pytest.mark.parametrize(
    "text",
    [
        "DO $$ BEGIN {wait}; INSERT INTO note (id, text) VALUES (9, 'late'); COMMIT; PERFORM pg_sleep(60); END $$",
        "{wait}; INSERT INTO note (id, text) VALUES (9, 'late'); COMMIT; SELECT pg_sleep(60)",
    ],
)
def test_a_session_that_was_at_work_before_the_switch_is_not_believed(pair: Scratch, text: str) -> None:
    """It may commit in the middle of what it does, and has counted nothing of that."""
    wait = "PERFORM" if text.startswith("DO") else "SELECT"
    work = text.format(wait=f"{wait} pg_advisory_xact_lock_shared(815)").encode()
    with pair.superuser() as gate, pair.superuser() as busy, ThreadPoolExecutor(1) as pool:
        gate.execute("SELECT pg_advisory_lock(815)")
        query = pool.submit(busy.execute, work)
        try:
            switched(pair)
            gate.execute("SELECT pg_advisory_unlock(815)")
            wait_for(lambda: notes(pair) == 1)
            outcome = verify(pair)
            assert (outcome.status, "may have written what is not counted yet" in outcome.out) == (1, True)
        finally:
            busy.cancel_safe()
            query.exception()


def test_a_session_that_cannot_be_seen_is_not_believed(pair: Scratch) -> None:
    with pair.superuser() as hidden:
        switched(pair)
        take_an_id(pair, "postgres")
        outcome = read_only(pair, "verify")
        named = f"process {hidden.info.backend_pid} of 'postgres': may have written what is not counted yet"
    assert (outcome.status, named in outcome.out) == (1, True), outcome.out


def test_a_sequence_that_cannot_be_read_is_told(pair: Scratch) -> None:
    with pair.superuser() as superuser:
        superuser.execute("CREATE SEQUENCE secret")
    receipt = switched(pair)
    outcome = read_only(pair, "verify")
    assert receipt.horizon.unreadable == ("public.secret",)
    assert (outcome.status, "sequence public.secret cannot be read by this login" in outcome.out) == (1, True)


def test_a_prepared_transaction_since_is_told(own_pair: Scratch) -> None:
    switched(own_pair)
    with own_pair.superuser() as superuser:
        superuser.execute("BEGIN")
        superuser.execute("INSERT INTO note (id) VALUES (9)")
        superuser.execute("PREPARE TRANSACTION 'parcel'")
    outcome = verify(own_pair)
    with own_pair.superuser() as superuser:
        superuser.execute("ROLLBACK PREPARED 'parcel'")
    assert (outcome.status, "prepared transaction 'parcel' of 'postgres': new" in outcome.out) == (1, True)


def test_a_clean_restart_is_clean(own_pair: Scratch, restartable: Server) -> None:
    own_pair.run("INSERT INTO note (text) VALUES ('early')")
    receipt = switched(own_pair)
    restartable.restart("restart")
    outcome = verify(own_pair)
    assert (outcome.status, state(own_pair).read_only) == (0, True), outcome.out
    assert switched(own_pair) == receipt


def test_a_write_before_a_restart_is_told(own_pair: Scratch, restartable: Server) -> None:
    switched(own_pair)
    write(own_pair, "INSERT INTO note (id, text) VALUES (9, 'late')")
    restartable.restart("restart")
    assert verify(own_pair).status == 1


def test_a_write_before_a_crash_is_told(own_pair: Scratch, restartable: Server) -> None:
    own_pair.run("INSERT INTO note (text) VALUES ('early')")
    switched(own_pair)
    write(own_pair, "INSERT INTO note (id, text) VALUES (9, 'late')")
    restartable.restart("crash")
    assert verify(own_pair).status == 1


# -- of what, and from where


def test_a_copy_of_the_database_is_not_what_the_receipt_is_of(pair: Scratch, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    switched(pair, "--receipt", str(file))
    with copied(pair):
        outcome = read_only(pair, "verify", str(file))
        found = state(pair)
    assert (outcome.status, "verify it where it was written" in outcome.err) == (1, True)
    assert (found.read_only, "this database is a copy" in " ".join(found.warnings)) == (False, True)


@contextmanager
def copied(pair: Scratch) -> Iterator[str]:
    """Let the pair lead to a copy of its database; give its name."""
    name = f"{pair.name}_copy"
    with psycopg.connect(pair.server, autocommit=True) as connection:
        connections[pair.alias].close()
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(pair.name))
        )
        entries = [connections.settings[alias] for alias in (pair.alias, pair.twin_alias)]
        try:
            for entry in entries:
                entry["NAME"] = name
            yield name
        finally:
            for entry in entries:
                entry["NAME"] = pair.name
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_it_is_clean_by_way_of_the_twin_where_the_writer_is_locked_out(pair: Scratch) -> None:
    switched(pair, "--fence", "login", "--admin-url", pair.admin_url)
    outcome = read_only(pair, "verify")
    assert (outcome.status, "nothing was written" in outcome.out) == (0, True), outcome.out


def test_a_receipt_of_another_server_is_refused(pair: Scratch, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    switched(pair, "--receipt", str(file))
    found = json.loads(file.read_text())
    found[0]["horizon"]["system_identifier"] = "1"
    file.write_text(json.dumps(found))
    outcome = read_only(pair, "verify", str(file))
    assert (outcome.status, "The receipt is of database" in outcome.err, outcome.out) == (1, True, "")


def test_a_receipt_comes_from_a_file_or_standard_input(pair: Scratch, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    switched(pair, "--receipt", str(file))
    assert read_only(pair, "verify", str(file)).status == 0
    with file.open() as stdin:
        assert from_stdin(pair, tmp_path, stdin.read()).status == 0


def from_stdin(pair: Scratch, folder: Path, text: str) -> Outcome:
    return process(pair, folder / "out", "verify", "-", stdin=text)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1]", "null", '[{"version": 2}]', "\\ud800"])
def test_a_file_that_holds_no_receipt_is_told_in_one_line(pair: Scratch, tmp_path: Path, text: str) -> None:
    file = tmp_path / "receipt.json"
    file.write_text(text)
    outcome = read_only(pair, "verify", str(file))
    assert (outcome.status, outcome.err.count("\n"), "Traceback" in outcome.err) == (1, 1, False)


def test_a_file_that_is_not_there_is_told_in_one_line(pair: Scratch, tmp_path: Path) -> None:
    outcome = read_only(pair, "verify", str(tmp_path / "nothing.json"))
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)


def test_without_a_file_the_kept_receipt_is_verified(pair: Scratch) -> None:
    switched(pair)
    assert read_only(pair, "verify").status == 0
    write(pair, "INSERT INTO note (id, text) VALUES (9, 'late')")
    assert verify(pair).status == 1


def test_a_transaction_that_was_open_in_another_database_is_no_write_here(own_pair: Scratch) -> None:
    with psycopg.connect(own_pair.server) as elsewhere:
        elsewhere.execute("SELECT pg_current_xact_id()")
        switched(own_pair)
        elsewhere.rollback()
    assert verify(own_pair).status == 0


def test_a_row_of_a_drained_transaction_is_not_told_as_late(pair: Scratch) -> None:
    with transaction(pair) as held:
        held.execute("COMMIT")
    switched(pair)
    take_an_id(pair)
    assert verify(pair).status == 0


def test_a_copy_that_begins_read_only_is_proved_anew_and_not_by_the_receipt_of_the_original(pair: Scratch) -> None:
    switched(pair)
    with copied(pair) as name:
        with psycopg.connect(pair.server, autocommit=True) as connection:
            mark = "ALTER ROLE {} IN DATABASE {} SET default_transaction_read_only = 'tRUE'"
            connection.execute(sql.SQL(mark).format(*map(sql.Identifier, (pair.writer, name))))
        found = state(pair)
        outcome = read_only(pair, "on")
    assert (found.read_only, found.proved) == (True, False)
    assert (outcome.status, "not proved: proving it now" in outcome.err) == (0, True)


# -- by ways of its own


def test_what_a_twin_may_have_written_in_a_transaction_that_goes_on_is_not_believed(pair: Scratch) -> None:
    with pair.superuser() as superuser:
        superuser.execute(
            "CREATE FUNCTION add() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public"
            " AS 'INSERT INTO note (id) VALUES (9)'"
        )
    switched(pair)
    with pair.login(pair.twin) as reader:
        reader.execute("SET default_transaction_read_only = off")
        reader.execute("SELECT add()")
        reader.execute("BEGIN")
        reader.execute("SELECT 1")
        outcome = verify(pair)
        reader.execute("COMMIT")
    assert (outcome.status, "may have written what is not counted yet" in outcome.out) == (1, True), outcome.out


def test_what_a_replication_connection_wrote_before_it_streams_is_not_believed(pair: Scratch) -> None:
    switched(pair)
    # Not its own block: that would send COMMIT into the stream.
    with closing(psycopg.connect(pair.admin_url, replication="database", autocommit=True)) as sender:
        sender.execute("INSERT INTO note (id) VALUES (9)")
        (position,) = sender.execute("SELECT pg_current_wal_lsn()::text").fetchone() or ("",)
        streaming = sender.pgconn.exec_(f"START_REPLICATION PHYSICAL {position}".encode())
        outcome = read_only(pair, "verify", "--admin-url", pair.admin_url)
    assert streaming.status == psycopg.pq.ExecStatus.COPY_BOTH
    assert outcome.status == 1, outcome.out


def test_a_table_of_the_same_name_elsewhere_is_the_sites_own(pair: Scratch) -> None:
    with pair.superuser() as superuser:
        superuser.execute("CREATE SCHEMA other CREATE TABLE readonly_router_event (id int)")
    switched(pair)
    write(pair, "INSERT INTO other.readonly_router_event (id) VALUES (1)")
    outcome = verify(pair)
    with pair.superuser() as superuser:
        superuser.execute("DROP SCHEMA other CASCADE")
    assert (outcome.status, "table other.readonly_router_event: 1 rows" in outcome.out) == (1, True), outcome.out
