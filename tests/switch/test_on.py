"""`read_only on`: what it switches, what it says, and what it refuses before anything is switched."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from django.db import connections
from django.test import override_settings

from readonly_router import mode
from readonly_router.conf import ProcessMode
from readonly_router.mark import MARKED, MARKS, SETTING
from readonly_router.switch.receipt import Receipt
from tests.database import Scratch
from tests.switch.switching import (
    default_of,
    events,
    process,
    read_only,
    run,
    running,
    spelt,
    state,
    switched,
    transaction,
)

pytestmark = pytest.mark.usefixtures("unsettled")


def test_new_sessions_of_the_writer_begin_read_only(pair: Scratch) -> None:
    switched(pair)
    assert default_of(pair) == "on"
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        pair.run("INSERT INTO note (text) VALUES ('late')")


def test_the_setting_is_spelt_so_that_it_is_known_as_the_switchs(pair: Scratch) -> None:
    switched(pair)
    assert spelt(pair) == [MARKED[0]]


def test_each_on_has_another_mark_which_its_event_tells(pair: Scratch) -> None:
    marks = []
    for _ in range(len(MARKS) + 1):
        switched(pair)
        marks += spelt(pair)
        read_only(pair, "off")
    with pair.superuser() as superuser:
        query = "SELECT details->>'mark' FROM readonly_router_event WHERE kind = 'on' ORDER BY id"
        noted = [row[0] for row in superuser.execute(query)]
    assert marks == [f"{SETTING}={mark}" for mark in noted]
    assert noted == [*MARKS, MARKS[0]]


def test_other_roles_are_left_alone(pair: Scratch) -> None:
    other = pair.role("other")
    switched(pair)
    assert default_of(pair, other) == "off"


def test_the_receipt_says_where_who_why_and_until_when(pair: Scratch) -> None:
    receipt = switched(pair, "--reason", "moving to PG 18", "--eta", "30m", "--by", "ann")
    assert (receipt.alias, receipt.horizon.database, receipt.roles) == (pair.alias, pair.name, (pair.writer,))
    assert (receipt.reason, receipt.by, receipt.fence) == ("moving to PG 18", "ann", "settings")
    assert receipt.eta is not None
    assert timedelta(minutes=29) < receipt.eta - receipt.proved_at <= timedelta(minutes=30)


def test_the_receipt_is_of_this_moment(pair: Scratch) -> None:
    before = datetime.now(timezone.utc)
    receipt = switched(pair)
    assert before <= receipt.switched_at <= receipt.proved_at <= datetime.now(timezone.utc)


def test_the_receipt_holds_the_sequences(pair: Scratch) -> None:
    pair.run("INSERT INTO note (text) VALUES ('a'), ('b')")
    assert switched(pair).horizon.sequences["public.note_id_seq"] == (2, True)


def test_the_receipt_is_kept_with_its_event_and_written_to_the_file(pair: Scratch, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    receipt = switched(pair, "--receipt", str(file))
    with pair.superuser() as superuser:
        row = superuser.execute("SELECT kind, receipt FROM readonly_router_event").fetchone()
    kept = [Receipt.from_json(json.dumps(found)) for found in json.loads(file.read_text())]
    assert row is not None
    assert (row[0], Receipt.from_json(json.dumps(row[1])), kept) == ("on", receipt, [receipt])


def test_nothing_but_the_receipt_is_left_beside_it(pair: Scratch, tmp_path: Path) -> None:
    switched(pair, "--receipt", str(tmp_path / "receipt.json"))
    assert [path.name for path in tmp_path.iterdir()] == ["receipt.json"]


def test_each_step_is_told_with_its_time_on_stderr(pair: Scratch) -> None:
    told = read_only(pair, "on").err.splitlines()
    assert all(re.match(rf"\[ *\d+\.\d{{3}} s\] {pair.alias}: ", line) for line in told)
    steps = [line.partition(": ")[2] for line in told]
    assert [step for step in steps if not step.startswith("note: ")] == [
        f"new sessions of '{pair.writer}' begin read-only",
        "drained: 0 sessions ended, none left that could write",
        "receipt written",
    ]


def test_stdout_is_the_receipt_in_words(pair: Scratch) -> None:
    out = read_only(pair, "on").out
    assert f"{pair.alias}: READ-ONLY, proved at " in out
    assert f"fenced: {pair.writer} (settings); sessions ended: 0" in out


def test_already_on_says_so_and_changes_nothing(pair: Scratch) -> None:
    first = switched(pair)
    again = read_only(pair, "on", "--json")
    assert (again.status, "on already since" in again.err) == (0, True)
    assert [Receipt.from_json(json.dumps(found)) for found in json.loads(again.out)] == [first]
    assert events(pair) == ["on"]


def test_already_on_writes_the_receipt_file_that_is_asked_for(pair: Scratch, tmp_path: Path) -> None:
    first, file = switched(pair), tmp_path / "again.json"
    switched(pair, "--receipt", str(file))
    assert Receipt.from_json(json.dumps(json.loads(file.read_text())[0])) == first


@pytest.mark.parametrize("fence", [("--fence", "login"), ("--writer", "{other}")])
def test_already_on_says_what_it_does_not_add(pair: Scratch, fence: tuple[str, str]) -> None:
    other = pair.role("other")
    switched(pair)
    again = read_only(pair, "on", *(part.format(other=other) for part in fence), "--admin-url", pair.admin_url)
    assert (again.status, "run off first" in again.err) == (0, True)


@pytest.mark.parametrize("name", ["missing/receipt.json", "folder", "long" * 63])
def test_a_receipt_that_cannot_be_written_is_refused_before_anything_is_switched(
    pair: Scratch, tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder").mkdir()
    outcome = read_only(pair, "on", "--receipt", str(tmp_path / name))
    assert (outcome.status, "cannot be written" in outcome.err) == (1, True)
    assert (default_of(pair), events(pair)) == ("off", [])


def test_a_device_is_never_replaced_by_a_receipt(pair: Scratch, tmp_path: Path) -> None:
    device = tmp_path / "pipe"
    os.mkfifo(device)
    outcome = read_only(pair, "on", "--receipt", str(device))
    assert (outcome.status, device.is_fifo(), events(pair)) == (1, True, [])


def test_a_receipt_that_cannot_be_written_after_all_is_told_and_kept(pair: Scratch, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    arguments = ("on", "--receipt", str(place / "receipt.json"))
    with transaction(pair) as held, running(pair, tmp_path, *arguments) as command:
        command.wait_for_line("begin read-only")
        shutil.rmtree(place)
        held.close()
        outcome = command.end()
    assert (outcome.status, "Switched and proved, but the receipt could not be written" in outcome.err) == (
        1,
        True,
    )
    assert state(pair).proved
    assert read_only(pair, "on", "--receipt", str(tmp_path / "receipt.json")).status == 0


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(pair: Scratch, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    outcome = read_only(pair, "on", "--dry-run", "--receipt", str(file))
    assert (outcome.status, f"would do: make new sessions of {pair.writer} begin" in outcome.out) == (0, True)
    assert (spelt(pair), events(pair), file.exists()) == ([], [], False)


def test_a_dry_run_ends_no_session(pair: Scratch) -> None:
    with pair.login(pair.writer) as idle:
        read_only(pair, "on", "--dry-run")
        assert idle.execute("SELECT 1").fetchone() == (1,)


def test_a_dry_run_is_refused_what_on_would_be_refused(pair: Scratch) -> None:
    pair.run(f'ALTER ROLE "{pair.writer}" IN DATABASE "{pair.name}" SET default_transaction_read_only = \'on\'')
    assert read_only(pair, "on", "--dry-run").status == read_only(pair, "on").status == 1


def test_a_dry_run_says_when_there_is_nothing_to_do(pair: Scratch) -> None:
    switched(pair)
    assert "would do: nothing" in read_only(pair, "on", "--dry-run").out


@override_settings(READONLY_ROUTER_DEADLINE="50ms")
def test_the_settings_are_the_defaults_of_the_options(pair: Scratch) -> None:
    with pair.login(pair.writer) as idle:
        idle.execute("SELECT 1")
        outcome = read_only(pair, "on", "--grace", "1h")
    assert (outcome.status, "within 0.05 s" in outcome.err) == (3, True)


@override_settings(READONLY_ROUTER_FENCE="moat")
def test_a_setting_that_is_not_understood_is_told_in_one_line(pair: Scratch) -> None:
    outcome = read_only(pair, "on")
    assert (outcome.status, outcome.err.count("\n"), "READONLY_ROUTER_FENCE='moat'" in outcome.err) == (1, 1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("on", "--deadline", "soon"),
        ("on", "--grace", "-5s"),
        ("on", "--eta", "99999999999d"),
        ("on", "--fence", "x"),
        ("history", "--limit", "-1"),
        ("exec",),
        (),
    ],
)
def test_arguments_that_are_not_understood_exit_2(arguments: tuple[str, ...]) -> None:
    outcome = run(*arguments)
    assert (outcome.status, "Traceback" in outcome.err) == (2, False)


@pytest.mark.parametrize("verb", ["on", "off", "verify", "history"])
def test_an_alias_that_is_no_writer_is_told_in_one_line(pair: Scratch, verb: str) -> None:
    outcome = run(verb, "--database", pair.twin_alias)
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert f"'{pair.twin_alias}' is no writer of READONLY_ROUTER_PAIRS" in outcome.err


def test_an_alias_that_is_named_twice_is_switched_once(pair: Scratch) -> None:
    outcome = read_only(pair, "on", "--database", pair.alias)
    assert (outcome.status, events(pair)) == (0, ["on"]), outcome.err


@pytest.mark.parametrize("verb", ["on", "off", "exec"])
def test_a_process_without_the_writers_login_is_refused(pair: Scratch, verb: str) -> None:
    mode.set_process(ProcessMode.LOCKED)
    outcome = read_only(pair, verb, *(["check"] if verb == "exec" else []))
    assert (outcome.status, "DB_READ_ONLY=locked" in outcome.err) == (1, True)


def test_a_database_without_the_events_is_refused_with_the_next_step(pair: Scratch) -> None:
    pair.run("DROP TABLE readonly_router_event")
    outcome = read_only(pair, "on")
    assert (outcome.status, default_of(pair)) == (1, "off")
    assert f"run manage.py migrate readonly_router --database {pair.alias}" in outcome.err


@pytest.mark.parametrize("verb", ["status", "off", "history"])
def test_a_database_without_the_events_raises_nothing(pair: Scratch, verb: str) -> None:
    pair.run("DROP TABLE readonly_router_event")
    outcome = read_only(pair, verb)
    assert outcome.err.count("\n") <= 1
    assert outcome.status in {0, 1}


def test_a_site_whose_options_undo_the_default_is_told_and_undone(pair: Scratch) -> None:
    options = connections.settings[pair.alias]["OPTIONS"]
    options["options"] = "-c default_transaction_read_only=off"
    outcome = read_only(pair, "on")
    assert (outcome.status, "still begins a writable session" in outcome.err) == (1, True)
    assert (default_of(pair), events(pair)) == ("off", ["on", "undone"])


def test_no_password_is_in_any_output(pair: Scratch, tmp_path: Path) -> None:
    wrong = pair.admin_url.replace("postgres:postgres@", "postgres:wrong-secret@")
    outcomes = [
        read_only(pair, "on", "--admin-url", wrong),
        read_only(pair, "status", "--json"),
        read_only(pair, "on", "--json", "--show-queries"),
        process(pair, tmp_path / "status", "status", DATABASE_URL=pair.url(pair.writer, "wrong-secret")),
        read_only(pair, "off", "--admin-url", pair.admin_url),
        read_only(pair, "history", "--json"),
    ]
    said = " ".join(f"{outcome.out} {outcome.err}" for outcome in outcomes)
    assert [secret for secret in (pair.password, "wrong-secret", "postgres:postgres") if secret in said] == []


def test_the_state_afterwards_is_on_and_proved(pair: Scratch) -> None:
    switched(pair, "--reason", "why")
    found = state(pair)
    assert (found.read_only, found.proved, found.reason, found.fenced) == (True, True, "why", (pair.writer,))


# -- replication into the database


def subscribed(pair: Scratch, owner: str, *, enabled: bool) -> None:
    """Make a subscription that has no server to subscribe to."""
    with pair.superuser() as superuser:
        superuser.execute(
            "CREATE SUBSCRIPTION inbound CONNECTION 'host=127.0.0.1 port=1 dbname=none' PUBLICATION none"
            " WITH (connect = false, slot_name = NONE)"
        )
        if enabled:
            superuser.execute("ALTER SUBSCRIPTION inbound SET (slot_name = 'inbound')")
            superuser.execute("ALTER SUBSCRIPTION inbound ENABLE")
        if owner != "postgres":
            superuser.execute(f'ALTER ROLE "{owner}" SUPERUSER'.encode())
            superuser.execute(f'ALTER SUBSCRIPTION inbound OWNER TO "{owner}"'.encode())
            superuser.execute(f'ALTER ROLE "{owner}" NOSUPERUSER'.encode())


@pytest.fixture
def subscriber(pair: Scratch) -> Iterator[Scratch]:
    yield pair
    with pair.superuser() as superuser:
        superuser.execute("ALTER SUBSCRIPTION inbound DISABLE")
        superuser.execute("ALTER SUBSCRIPTION inbound SET (slot_name = NONE)")
        superuser.execute("DROP SUBSCRIPTION inbound")


def test_a_subscription_that_writes_as_the_writer_is_refused(subscriber: Scratch) -> None:
    subscribed(subscriber, subscriber.writer, enabled=True)
    outcome = read_only(subscriber, "on")
    assert (outcome.status, "ALTER SUBSCRIPTION inbound DISABLE first" in outcome.err) == (1, True), outcome.err
    assert default_of(subscriber) == "off"


def test_a_subscription_of_somebody_else_is_told(subscriber: Scratch) -> None:
    subscribed(subscriber, "postgres", enabled=True)
    outcome = read_only(subscriber, "on")
    assert (outcome.status, "subscription 'inbound' of 'postgres' goes on writing" in outcome.err) == (0, True)


def test_a_subscription_that_is_disabled_is_not_in_the_way(subscriber: Scratch) -> None:
    subscribed(subscriber, subscriber.writer, enabled=False)
    assert read_only(subscriber, "on").status == 0
