"""The twin before the switch is thrown: the right login of the right database, alike, or named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connections
from django.test import override_settings

from readonly_router import advisory
from readonly_router.mark import SWITCH_LOCK, WRITABLE_LOCK
from tests.database import Scratch, entry
from tests.harness.servers import Servers
from tests.places import another_database, copy_elsewhere, leading_to
from tests.roles.provisioning import command
from tests.switch.switching import Outcome, default_of, events, read_only, switched

REPLICAS = override_settings(READONLY_ROUTER_REPLICAS=["scratch_twin"])


def refused_unchanged(pair: Scratch, *arguments: str) -> str:
    """Return the one line with which an `on` is refused that changes nothing."""
    outcome = read_only(pair, "on", *arguments)
    assert (outcome.status, default_of(pair), events(pair)) == (1, "off", []), outcome.out
    assert pair.password not in outcome.err
    return last_line(outcome)


def last_line(outcome: Outcome) -> str:
    return outcome.err.strip().splitlines()[-1]


# -- where it leads


def test_on_is_refused_where_the_twin_leads_to_another_database(pair: Scratch) -> None:
    with another_database(pair) as name:
        says = refused_unchanged(pair)
    assert (f"'{name}'" in says, f"'{pair.name}'" in says) == (True, True)
    assert "correct DATABASE_READONLY_URL (or DATABASES['scratch_twin'])" in says


def test_a_preview_is_refused_as_the_switch_itself(pair: Scratch) -> None:
    with another_database(pair):
        assert "DATABASE_READONLY_URL" in refused_unchanged(pair, "--dry-run")


def test_on_is_refused_where_the_twin_leads_to_a_copy_on_another_server(pair: Scratch) -> None:
    with copy_elsewhere(pair):
        says = refused_unchanged(pair)
        status = read_only(pair, "status")
    assert ("no standby of it" in says, "READONLY_ROUTER_REPLICAS" in says) == (True, True)
    assert (status.status, "warning: in read-only mode nothing could be read: The twin" in status.out) == (0, True)


def test_a_promoted_copy_is_refused_and_a_standby_is_not(
    pair_with_standby: Scratch, with_standby: Servers
) -> None:
    with_standby.catch_up()
    with leading_to(pair_with_standby, with_standby.standby):
        assert switched(pair_with_standby).reads_from == ""
        assert read_only(pair_with_standby, "off").status == 0
        with_standby.promote()
        outcome = read_only(pair_with_standby, "on")
    assert (outcome.status, "no standby of it" in last_line(outcome)) == (1, True)


@REPLICAS
def test_the_receipt_of_a_declared_replica_says_where_reads_come_from(pair: Scratch) -> None:
    with copy_elsewhere(pair):
        outcome = read_only(pair, "on", "--json")
        (receipt,) = json.loads(outcome.out)
        assert (outcome.status, f"database '{pair.name}' of server" in receipt["reads_from"]) == (0, True)
        assert f"NOT COVERED: reads come from {receipt['reads_from']}" in read_only(pair, "on").out
        assert f"reads come from {receipt['reads_from']}" in read_only(pair, "status").out
        assert (
            json.loads(read_only(pair, "status", "--json").out)["scratch"]["reads_from"] == receipt["reads_from"]
        )


@REPLICAS
def test_the_logins_of_a_site_that_reads_a_replica_are_not_fenced(pair: Scratch) -> None:
    with copy_elsewhere(pair):
        assert "leave out --fence login" in refused_unchanged(
            pair, "--fence", "login", "--admin-url", pair.admin_url
        )


@REPLICAS
def test_a_replica_is_not_asked_how_the_switch_stands(pair: Scratch) -> None:
    with copy_elsewhere(pair), entry(pair.alias, PASSWORD="wrong"):
        outcome = read_only(pair, "status")
    assert (outcome.status, "UNKNOWN: Cannot log in as the operator" in outcome.out) == (2, True)


def test_a_receipt_of_before_is_understood(pair: Scratch) -> None:
    receipt = json.loads(switched(pair).to_json())
    del receipt["reads_from"]
    assert type(switched(pair)).from_json(json.dumps(receipt)).reads_from == ""


# -- its login


def test_on_and_status_name_a_twin_that_cannot_log_in(pair: Scratch) -> None:
    with entry(pair.twin_alias, PASSWORD="wrong"):
        assert "Cannot log in as the twin 'scratch_twin'" in refused_unchanged(pair)
        plain, told = read_only(pair, "status"), json.loads(read_only(pair, "status", "--json").out)["scratch"]
    assert (plain.status, "nothing could be read: Cannot log in as the twin" in plain.out) == (0, True)
    assert ("Cannot log in" in told["twin"], told["read_only"], "wrong" in told["twin"]) == (True, False, False)


def test_status_names_a_twin_that_is_lost_while_the_switch_is_on(pair: Scratch) -> None:
    switched(pair)
    with pair.superuser() as superuser:
        superuser.execute(f'ALTER ROLE "{pair.twin}" NOLOGIN'.encode())
    outcome = read_only(pair, "status", "--exit-code")
    assert (outcome.status, "is not permitted to log in" in outcome.out) == (1, True)


def test_a_server_of_the_twin_that_does_not_answer_is_one_line(pair: Scratch) -> None:
    with entry(pair.twin_alias, HOST="127.0.0.1", PORT=1):
        assert "Cannot log in as the twin" in refused_unchanged(pair)
        assert read_only(pair, "status").status == 0


def test_status_of_a_twin_that_serves_says_nothing_of_it(pair: Scratch) -> None:
    found = json.loads(read_only(pair, "status", "--json").out)["scratch"]
    assert (found["twin"], found["reads_from"]) == ("", "")


# -- what it did to itself


@pytest.mark.parametrize(
    "altered",
    ["search_path = nowhere", "statement_timeout = '9s'", "TimeZone = 'Asia/Kathmandu'", "DateStyle = German"],
)
def test_a_twin_that_altered_itself_is_refused_with_the_statement_that_mends_it(
    pair: Scratch, altered: str
) -> None:
    itself = ("SET default_transaction_read_only = off", f'ALTER ROLE "{pair.twin}" SET {altered}')
    pair.run(*itself, user=pair.twin)
    says = refused_unchanged(pair)
    statement, name = says.partition("; run ")[2], altered.partition(" ")[0]
    assert f' IN DATABASE "{pair.name}" SET {name} TO' in statement, says
    with pair.superuser() as superuser:
        superuser.execute(statement.encode())
    assert read_only(pair, "on").status == 0


@contextmanager
def held_by_twin(pair: Scratch, lock: str) -> Iterator[psycopg.Connection]:
    with pair.login(pair.twin) as twin:
        assert advisory.try_lock(twin, lock)
        yield twin


def free(pair: Scratch, says: str) -> None:
    """Run the statement that a message names."""
    with pair.superuser() as superuser:
        superuser.execute(says.partition("ended by ")[2].partition(")")[0].encode() + b")")


@pytest.mark.parametrize("verb", ["on", "off"])
def test_a_lock_that_the_twin_holds_is_named_with_the_statement_that_ends_it(pair: Scratch, verb: str) -> None:
    if verb == "off":
        switched(pair)
    with held_by_twin(pair, SWITCH_LOCK) as twin:
        outcome = read_only(pair, verb)
        assert (outcome.status, f"process {twin.info.backend_pid} of role '{pair.twin}'" in outcome.err) == (
            1,
            True,
        )
        free(pair, last_line(outcome))
    assert read_only(pair, verb).status == 0


def test_a_lock_of_provisioning_that_the_twin_holds_is_named(fresh_pair: Scratch) -> None:
    with held_by_twin(fresh_pair, f"readonly_router:{fresh_pair.twin}") as twin:
        status, _, says = command(fresh_pair)
        assert (status, f"process {twin.info.backend_pid} of role" in says, "\n" in says) == (1, True, False)
        free(fresh_pair, says)
    assert command(fresh_pair)[0] == 0


def test_the_lock_of_writable_that_the_twin_holds_is_named(pair: Scratch) -> None:
    with held_by_twin(pair, WRITABLE_LOCK) as twin:
        outcome = read_only(pair, "on", "--deadline", "200ms")
        held_out = next(line for line in outcome.err.splitlines() if "held out: " in line)
        assert (outcome.status, f"process {twin.info.backend_pid} of role '{pair.twin}'" in held_out) == (3, True)
        free(pair, held_out)
    assert (default_of(pair), read_only(pair, "on").status) == ("off", 0)


def test_the_twin_of_a_fenced_writer_is_compared_with_the_operators_place(pair: Scratch) -> None:
    switched(pair, "--fence", "login", "--admin-url", pair.admin_url)
    with another_database(pair):
        outcome = read_only(pair, "status", "--admin-url", pair.admin_url)
    assert (outcome.status, "of the same server" in outcome.out) == (0, True)
    assert read_only(pair, "on", "--admin-url", pair.admin_url).status == 0
    connections.close_all()
