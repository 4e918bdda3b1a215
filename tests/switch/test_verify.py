"""`read_only verify`: clean when nothing was written, and what moved when anything was, whoever wrote it."""

from __future__ import annotations

import json

import psycopg
import pytest
from psycopg import sql

from readonly_router.switch import standing
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.switch.switching import Outcome, read_only, switched, value

WRITES = {
    "a row inserted": ("INSERT INTO note (id, text) VALUES (9, 'late')", "table public.note: 1 rows"),
    "a row updated": ("UPDATE note SET text = 'late'", "table public.note: 1 rows"),
    "a row deleted": ("DELETE FROM note", "table public.note: 1 rows"),
    "a row inserted and rolled back": (
        "DO $$BEGIN INSERT INTO note (id) VALUES (9); RAISE division_by_zero;"
        " EXCEPTION WHEN division_by_zero THEN NULL; END$$",
        "table public.note: 1 rows",
    ),
    "a table emptied": ("TRUNCATE note", "table pg_catalog.pg_class"),
    "a table created": ("CREATE TABLE late (id int)", "table pg_catalog.pg_class"),
    "a table dropped": ("DROP TABLE note", "table public.note: not there any more"),
    "a table altered": ("ALTER TABLE note ADD late int", "table pg_catalog.pg_attribute"),
    "a large object": ("SELECT lo_from_bytea(0, 'late')", "table pg_catalog.pg_largeobject"),
    "a value taken": ("SELECT nextval('note_id_seq')", "sequence public.note_id_seq: 1 -> 2"),
    "a value set": ("SELECT setval('note_id_seq', 1, false)", "sequence public.note_id_seq: 1 -> 1 (not used)"),
    "a sequence created": ("CREATE SEQUENCE late", "sequence public.late: not there -> "),
    "a sequence dropped": ("DROP SEQUENCE spare", "sequence public.spare: 1 (not used) -> not there"),
}


@pytest.fixture
def proved(pair: Scratch) -> Scratch:
    """A pair with a row, switched on and proved."""
    pair.run("INSERT INTO note (text) VALUES ('early')", "CREATE SEQUENCE spare")
    grant(pair)
    switched(pair)
    return pair


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give sessions little time to be counted, where what they wrote must be told or suspected anyhow."""
    monkeypatch.setattr(standing, "SETTLE_SECONDS", 0.3)


def grant(pair: Scratch) -> None:
    with pair.superuser() as superuser:
        superuser.execute(
            sql.SQL("GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(sql.Identifier(pair.twin))
        )


def write(pair: Scratch, *texts: str) -> None:
    """Write past the switch, in a session that ends: the server then counts what it wrote."""
    with pair.superuser() as superuser:
        pid = superuser.info.backend_pid
        for text in texts:
            superuser.execute(text.encode())
    with pair.superuser() as superuser:
        wait_for(lambda: not value(superuser, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", pid))


def verify(pair: Scratch, *arguments: str) -> Outcome:
    """Verify the kept receipt, with a login that sees every session."""
    return read_only(pair, "verify", "--admin-url", pair.admin_url, *arguments)


def test_nothing_written_is_clean(proved: Scratch) -> None:
    outcome = read_only(proved, "verify")
    assert (outcome.status, f"{proved.alias}: nothing was written since 20" in outcome.out) == (0, True)


def test_reads_are_clean(proved: Scratch) -> None:
    for user in (proved.twin, proved.writer):
        with proved.login(user) as reader:
            reader.execute("SELECT * FROM note")
    assert verify(proved).status == 0


def test_a_refused_write_is_clean(proved: Scratch) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        proved.run("INSERT INTO note (text) VALUES ('late')")
    assert verify(proved).status == 0


def test_status_and_history_and_a_second_on_are_clean(proved: Scratch) -> None:
    for verb in ("status", "history", "on", "verify"):
        assert read_only(proved, verb).status == 0
    assert verify(proved).status == 0


@pytest.mark.parametrize(("text", "moved"), WRITES.values(), ids=WRITES)
def test_a_write_is_told_and_exits_1(proved: Scratch, text: str, moved: str) -> None:
    write(proved, text)
    outcome = verify(proved)
    assert (outcome.status, moved in outcome.out) == (1, True), outcome.out
    assert "WRITTEN, or not to be told" in outcome.out


def test_a_write_of_the_writer_that_undid_its_default_is_told(proved: Scratch) -> None:
    with proved.login(proved.writer) as rebel:
        rebel.execute("SET default_transaction_read_only = off")
        rebel.execute("INSERT INTO note (id, text) VALUES (9, 'late')")
    assert verify(proved).status == 1


@pytest.mark.usefixtures("impatient")
def test_a_write_that_is_not_committed_yet_is_not_clean(proved: Scratch) -> None:
    with proved.superuser() as superuser:
        superuser.execute("BEGIN")
        superuser.execute("INSERT INTO note (id, text) VALUES (9, 'late')")
        outcome = verify(proved)
        named = f"process {superuser.info.backend_pid} of 'postgres'" in outcome.out
        superuser.execute("ROLLBACK")
    assert (outcome.status, named) == (1, True)


def test_the_verdict_as_json(proved: Scratch) -> None:
    clean = json.loads(verify(proved, "--json").out)[proved.alias]
    write(proved, WRITES["a value taken"][0])
    moved = json.loads(verify(proved, "--json").out)[proved.alias]
    assert (clean["clean"], clean["moved"]) == (True, [])
    assert (moved["clean"], moved["moved"]) == (
        False,
        ["sequence public.note_id_seq: 1 -> 2 (a crash takes it so far by itself)"],
    )
