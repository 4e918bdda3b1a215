"""Provisioning while the site runs: order, interruption, a second run, transactions open across it, load."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from readonly_router import ProvisioningError
from readonly_router.roles import apply as applying
from readonly_router.roles import provision as provisioning
from readonly_router.roles.apply import apply, only_run
from readonly_router.roles.provision import preview
from readonly_router.roles.spec import Actor, Statement, Step
from tests.database import Scratch
from tests.roles.provisioning import OFF, ask, provisioned, refused, target

SCHEMA = (
    "CREATE SCHEMA extra",
    "CREATE TABLE thing (id serial PRIMARY KEY, name text)",
    "CREATE TABLE extra.thing (id serial PRIMARY KEY)",
    "CREATE VIEW seen AS SELECT * FROM thing",
)


def wait_for(condition: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


def wal_and_xid(scratch: Scratch) -> tuple[Any, ...]:
    with scratch.superuser() as connection:
        row = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
        return row or ()


def test_a_rerun_runs_no_statement_and_takes_no_transaction_id(scratch: Scratch) -> None:
    scratch.run(*SCHEMA)
    provisioned(scratch)
    with scratch.superuser() as connection:
        # Nothing but us moves the counter in these seconds: the run is repeated if autovacuum did.
        for _ in range(5):
            before = wal_and_xid(scratch)
            assert provisioned(scratch).statements == 0
            if wal_and_xid(scratch) == before:
                break
        else:
            pytest.fail("each rerun took a transaction id")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_plan_is_in_the_order_that_is_safe_to_stop_at(scratch: Scratch) -> None:
    scratch.run(*SCHEMA)
    _, plan, _ = preview(target(scratch))
    order = [Step.ROLE, Step.DEFAULTS, Step.GRANTS]
    steps = [order.index(statement.step) for statement in plan.statements]
    assert steps == sorted(steps)


def test_stopped_after_any_statement_the_role_only_reads_and_a_rerun_finishes(scratch: Scratch) -> None:
    scratch.run(*SCHEMA)
    wanted = target(scratch)
    _, plan, _ = preview(wanted)
    with scratch.superuser() as connection:
        sessions = {Actor.ADMIN: connection, Actor.WRITER: connection}
        for statement in plan.statements:
            apply(sessions, [statement], lambda line: None)
            assert ask(scratch, "SHOW default_transaction_read_only") == [("on",)]
            assert refused(scratch, "INSERT INTO thing (name) VALUES ('x')") in {"25006", "42501"}
            assert refused(scratch, OFF, "INSERT INTO thing (name) VALUES ('x')") == "42501"
    with scratch.superuser() as connection:
        sequences = 'REVOKE SELECT ON SEQUENCE extra.thing_id_seq FROM "{}"'
        connection.execute(sequences.format(scratch.twin).encode())
    assert provisioned(scratch).holds


@pytest.mark.parametrize("after", range(0, 7, 2))
def test_a_run_that_dies_is_finished_by_the_next(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    scratch.run(*SCHEMA)
    run, left = applying._once, [after]

    def interrupted(connection: Any, statement: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        run(connection, statement)

    monkeypatch.setattr(applying, "_once", interrupted)
    with pytest.raises(KeyboardInterrupt):
        provisioned(scratch)
    monkeypatch.undo()
    assert provisioned(scratch).holds


def test_a_second_run_is_refused_while_one_is_at_work(scratch: Scratch) -> None:
    with scratch.superuser() as connection, only_run(connection, target(scratch).role):
        with pytest.raises(ProvisioningError, match="Another run"):
            provisioned(scratch)
    assert provisioned(scratch).holds


def test_a_table_created_in_a_transaction_that_was_open_is_waited_for(scratch: Scratch) -> None:
    lines: list[str] = []
    with scratch.login(scratch.writer) as writer:
        writer.execute("BEGIN")
        writer.execute("CREATE TABLE across (id int)")
        run = threading.Thread(target=lambda: provisioning.provision(target(scratch), tell=lines.append))
        run.start()
        wait_for(lambda: any(line.startswith("wait for") for line in lines))
        writer.execute("COMMIT")
        run.join(20)
    assert refused(scratch, "SELECT * FROM across") == ""


def test_transactions_that_stay_open_are_named_and_the_run_is_not_done(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provisioning, "WAIT_SECONDS", 0.2)
    with scratch.login(scratch.writer) as writer:
        writer.execute("BEGIN")
        writer.execute("CREATE TABLE across (id int)")
        report = provisioned(scratch)
        writer.execute("COMMIT")
    assert not report.holds
    assert scratch.writer in report.late[0]


def test_a_transaction_that_only_reads_is_not_waited_for(scratch: Scratch) -> None:
    scratch.run(*SCHEMA)
    with scratch.login(scratch.writer) as writer:
        writer.execute("BEGIN")
        writer.execute("SELECT * FROM thing")
        assert provisioned(scratch).late == ()


def test_an_open_reader_and_an_open_writer_do_not_block_a_run(scratch: Scratch) -> None:
    scratch.run(*SCHEMA)
    provisioned(scratch)
    scratch.run(f'REVOKE SELECT ON thing FROM "{scratch.twin}"')
    with scratch.login(scratch.writer) as reader, scratch.login(scratch.writer) as writer:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM thing")
        # An open INSERT holds a transaction id, so only the grants are tried, not the wait.
        writer.execute("BEGIN")
        writer.execute("INSERT INTO thing (name) VALUES ('open')")
        _, plan, _ = preview(target(scratch))
        with scratch.superuser() as connection:
            sessions = {Actor.ADMIN: connection, Actor.WRITER: connection}
            assert apply(sessions, plan.statements, lambda line: None) == (1, 0)
    assert refused(scratch, "SELECT * FROM thing") == ""


def test_an_open_alter_is_outwaited(scratch: Scratch) -> None:
    scratch.run(*SCHEMA)
    with scratch.login(scratch.writer) as writer:
        writer.execute("BEGIN")
        writer.execute("ALTER TABLE thing ADD COLUMN more int")
        done = threading.Event()

        def run() -> None:
            provisioned(scratch)
            done.set()

        threading.Thread(target=run).start()
        with scratch.superuser() as connection:
            waiting = (
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            wait_for(lambda: connection.execute(waiting.encode()).fetchall())
        writer.execute("COMMIT")
        assert done.wait(20)
    assert ask(scratch, "SELECT more FROM thing") == []


@pytest.mark.parametrize(
    ("statement", "name"),
    [("ALTER TABLE thing ADD COLUMN more int", "thing"), ("ALTER SEQUENCE thing_id_seq RESTART", "thing_id_seq")],
)
def test_an_alter_waits_for_a_grant_instead_of_failing(scratch: Scratch, statement: str, name: str) -> None:
    scratch.run(*SCHEMA)
    grants = [step for step in preview(target(scratch))[1].statements if f"public.{name} " in f"{_text(step)} "]
    with scratch.superuser() as admin, admin.transaction(force_rollback=True):
        for text in grants[0].first:
            admin.execute(text)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            scratch.run("SET lock_timeout = '100ms'", statement)
        scratch.run("INSERT INTO thing (name) VALUES ('x')", "SELECT nextval('thing_id_seq')", "VACUUM thing")


def _text(statement: Statement) -> str:
    return statement.text.as_string(None).replace(",", " ")


@contextmanager
def load(scratch: Scratch, statements: list[str], errors: list[str], counts: list[int]) -> Iterator[None]:
    """Run statements on random tables, each in its own transaction, until the block ends."""
    stop = threading.Event()

    def worker(seed: int) -> None:
        with scratch.login(scratch.writer) as connection:
            number = seed
            while not stop.is_set():
                number = (number * 1103515245 + 12345) % 2**31
                statement = statements[number % len(statements)].format(number % counts[0])
                try:
                    connection.execute(statement.encode())
                    counts[1] += 1
                except psycopg.Error as error:
                    errors.append(f"{statement}: {error}")

    workers = [threading.Thread(target=worker, args=(seed,)) for seed in (1, 2)]
    for thread in workers:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in workers:
            thread.join(30)


@pytest.mark.slow
def test_ten_thousand_tables_under_alter_and_truncate_and_neither_side_fails(scratch: Scratch) -> None:
    count = 10_000
    for start in range(0, count, 1000):
        scratch.run(
            f"DO $$ BEGIN FOR i IN {start}..{start + 999} LOOP"
            " EXECUTE format('CREATE TABLE t%s (id int, name text)', i); END LOOP; END $$"
        )
    errors: list[str] = []
    counts = [count, 0]
    statements = [
        "ALTER TABLE t{0} ALTER name SET DEFAULT 'x'",
        "TRUNCATE t{0}",
        "ALTER TABLE t{0} ADD COLUMN IF NOT EXISTS more int",
        "TRUNCATE t{0} RESTART IDENTITY",
    ]
    with load(scratch, statements, errors, counts):
        report = provisioned(scratch)
    assert errors == []
    assert counts[1] > 10
    assert (report.holds, report.proof and report.proof.readable) == (True, count)


def test_tables_dropped_while_they_are_granted_do_not_fail_the_run(scratch: Scratch) -> None:
    for number in range(200):
        scratch.run(f"CREATE TABLE gone{number} (id int)")
    stop = threading.Event()

    def churn() -> None:
        with scratch.login(scratch.writer) as connection:
            for number in range(200):
                connection.execute(f"DROP TABLE gone{number}".encode())
                connection.execute(f"CREATE TABLE come{number} (id int)".encode())
                if stop.is_set():
                    return

    thread = threading.Thread(target=churn)
    thread.start()
    provisioned(scratch)
    stop.set()
    thread.join(20)
    assert provisioned(scratch).holds
