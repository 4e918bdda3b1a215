"""Settings that somebody else made: never overwritten, never removed, and told where they count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connections
from psycopg import sql

from readonly_router.mark import MARKED
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.switch.switching import SETTING, default_of, events, read_only, spelt, state, switched, value

pytestmark = pytest.mark.usefixtures("unsettled")

DATABASE = "ALTER DATABASE {database} SET default_transaction_read_only = {value}"
ROLE = "ALTER ROLE {role} SET default_transaction_read_only = {value}"
BOTH = "ALTER ROLE {role} IN DATABASE {database} SET default_transaction_read_only = {value}"


def dba(pair: Scratch, text: str, value: str = "", role: str = "") -> None:
    """Execute a DBA's statement about the pair."""
    names = {"database": sql.Identifier(pair.name), "role": sql.Identifier(role or pair.writer)}
    with pair.superuser() as superuser:
        superuser.execute(sql.SQL(text).format(**names, value=sql.SQL(value)))


def settings(pair: Scratch) -> set[tuple[str, str]]:
    """Return every setting of the database, of the writer, and of both, but the switch's."""
    query = """SELECT CASE WHEN setrole = 0 THEN 'database' WHEN setdatabase = 0 THEN 'role' ELSE 'both' END,
        unnest(setconfig) FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase
        LEFT JOIN pg_roles r ON r.oid = setrole
        WHERE coalesce(datname = current_database(), true) AND coalesce(rolname = %s, setdatabase <> 0)"""
    with pair.superuser() as superuser:
        rows = superuser.execute(query, [pair.writer]).fetchall()
    return {(where, text) for where, text in rows if text not in MARKED}


@pytest.mark.parametrize("text", [DATABASE, ROLE], ids=["database", "role"])
@pytest.mark.parametrize("value", ["on", "off", "true", "'TRUE'", "0"])
def test_a_setting_at_another_level_outlives_the_switch(pair: Scratch, text: str, value: str) -> None:
    dba(pair, text, value)
    before = settings(pair)
    switched(pair)
    during = settings(pair)
    read_only(pair, "off")
    assert (during, settings(pair), len(before)) == (before, before, 1)


@pytest.mark.parametrize("text", [DATABASE, ROLE], ids=["database", "role"])
def test_a_setting_of_off_at_another_level_does_not_let_writers_in(pair: Scratch, text: str) -> None:
    dba(pair, text, "off")
    switched(pair)
    assert default_of(pair) == "on"


@pytest.mark.parametrize("text", [DATABASE, ROLE], ids=["database", "role"])
def test_a_setting_of_on_at_another_level_is_told_for_off_does_not_open_it(pair: Scratch, text: str) -> None:
    dba(pair, text, "on")
    switched(pair)
    outcome = read_only(pair, "off")
    assert default_of(pair) == "on"
    assert "still begin read-only" in outcome.err
    assert "begin read-only" in " ".join(state(pair).warnings)


@pytest.mark.parametrize("value", ["on", "off", "true", "'TRUE'", "0"])
def test_the_same_setting_of_somebody_else_is_never_overwritten(pair: Scratch, value: str) -> None:
    dba(pair, BOTH, value)
    before = spelt(pair)
    outcome = read_only(pair, "on")
    assert (outcome.status, spelt(pair), events(pair)) == (1, before, [])
    assert "set by somebody else, and it is never overwritten" in outcome.err


def test_the_setting_of_a_further_writer_is_never_overwritten(pair: Scratch) -> None:
    other = pair.role("other")
    dba(pair, BOTH, "off", role=other)
    outcome = read_only(pair, "on", "--writer", other, "--admin-url", pair.admin_url)
    assert (outcome.status, spelt(pair), spelt(pair, other)) == (1, [], [f"{SETTING}=off"])


@pytest.mark.parametrize("value", ["on", "true", "'TRUE'", "1"])
def test_off_leaves_the_same_setting_of_somebody_else(pair: Scratch, value: str) -> None:
    dba(pair, BOTH, value)
    before = spelt(pair)
    outcome = read_only(pair, "off")
    assert (outcome.status, "read-only, but not by the switch" in outcome.err) == (1, True)
    assert (spelt(pair), events(pair), len(before)) == (before, [], 1)


@pytest.mark.parametrize("text", [DATABASE, ROLE], ids=["database", "role"])
def test_off_does_not_call_open_what_somebody_else_closed(pair: Scratch, text: str) -> None:
    dba(pair, text, "on")
    outcome = read_only(pair, "off")
    assert (outcome.status, "read-only, but not by the switch" in outcome.err, outcome.out) == (1, True, "")


@pytest.mark.parametrize("value", ["off", "false", "'OFF'", "0"])
def test_off_has_nothing_to_do_where_somebody_else_keeps_it_writable(pair: Scratch, value: str) -> None:
    dba(pair, BOTH, value)
    outcome = read_only(pair, "off")
    assert (outcome.status, "off already" in outcome.err) == (0, True), outcome.err


@pytest.mark.parametrize(("value", "status"), [("on", 1), ("off", 0)])
def test_a_dba_that_overwrites_the_switch_keeps_what_they_set(pair: Scratch, value: str, status: int) -> None:
    switched(pair)
    dba(pair, BOTH, value)
    told = state(pair)
    outcome = read_only(pair, "off")
    assert (told.read_only, outcome.status, spelt(pair)) == (False, status, [f"{SETTING}={value}"])
    assert "of its own in this database" in " ".join(told.warnings)


def test_other_settings_of_the_role_are_left_alone(pair: Scratch) -> None:
    for text in (BOTH, ROLE, DATABASE):
        dba(pair, text.replace(f"{SETTING} = {{value}}", "statement_timeout = '7s'"))
    before = settings(pair)
    switched(pair)
    read_only(pair, "off")
    assert (settings(pair), len(before)) == (before, 3)


def test_the_setting_of_the_role_in_another_database_is_left_alone(pair: Scratch) -> None:
    text = "ALTER ROLE {role} IN DATABASE postgres SET default_transaction_read_only = {value}"
    dba(pair, text, "'tRUE'")
    switched(pair)
    read_only(pair, "off")
    query = """SELECT setconfig FROM pg_db_role_setting JOIN pg_roles r ON r.oid = setrole
        JOIN pg_database d ON d.oid = setdatabase WHERE rolname = %s AND datname = 'postgres'"""
    with pair.superuser() as superuser:
        assert value(superuser, query, pair.writer) == [f"{SETTING}=tRUE"]


@contextmanager
def of_the_whole_server(pair: Scratch, setting: str) -> Iterator[Callable[[], str]]:
    """ALTER SYSTEM for the length of the block; give a function that tells what the server's file says."""

    def said() -> str:
        with pair.superuser() as superuser:
            query = "SELECT setting FROM pg_file_settings WHERE name = %s AND sourcefile LIKE '%%auto.conf'"
            return str(value(superuser, query, SETTING))

    probe = pair.role("probe")

    def reach(expected: str) -> None:
        with pair.superuser() as superuser:
            superuser.execute("SELECT pg_reload_conf()")
        wait_for(lambda: default_of(pair, probe) == expected)

    with pair.superuser() as superuser:
        superuser.execute(f"ALTER SYSTEM SET {SETTING} = {setting}".encode())
    try:
        reach(setting)
        yield said
    finally:
        with pair.superuser() as superuser:
            superuser.execute(f"SET {SETTING} = off".encode())
            superuser.execute(f"ALTER SYSTEM RESET {SETTING}".encode())
        reach("off")


def test_a_setting_of_the_whole_server_outlives_the_switch(own_pair: Scratch) -> None:
    with of_the_whole_server(own_pair, "on") as said:
        switched(own_pair)
        during = said()
        outcome = read_only(own_pair, "off")
        assert (during, said(), spelt(own_pair)) == ("on", "on", [])
        assert (outcome.status, "still begin read-only" in outcome.err, outcome.out) == (1, True, "")


# -- another site of the same database


@contextmanager
def neighbour(pair: Scratch, writer: str) -> Iterator[None]:
    """Be another site of the database for the length of the block: with a writer of its own, by the same alias."""
    dba(pair, "GRANT ALL ON readonly_router_event, readonly_router_event_id_seq TO {role}", role=writer)
    connections[pair.alias].close()
    connections.settings[pair.alias]["USER"] = writer
    try:
        yield
    finally:
        connections.settings[pair.alias]["USER"] = pair.writer


def test_a_switch_of_another_site_of_the_database_is_not_taken_for_ones_own(pair: Scratch) -> None:
    """It may use the same alias: its acts and its mark are told apart by the role."""
    other = pair.role("other")
    switched(pair, "--reason", "ours")
    with neighbour(pair, other):
        theirs = state(pair)
    assert (theirs.writer, theirs.read_only, theirs.fenced, theirs.reason) == (other, False, (), "")


def test_off_leaves_the_switch_of_another_site_of_the_database(pair: Scratch) -> None:
    other = pair.role("other")
    receipt = switched(pair)
    with neighbour(pair, other):
        switched(pair)
        read_only(pair, "off")
    assert (default_of(pair), default_of(pair, other), switched(pair)) == ("on", "off", receipt)
