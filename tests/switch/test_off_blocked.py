"""What the site's login does to the table of events keeps no `off` away: it opens, and says what was not noted."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.database import Scratch
from tests.switch.switching import (
    default_of,
    events,
    read_only,
    running,
    state,
    switched,
    transaction,
    value,
)

PLANTS = {
    "a view in its place": (
        "ALTER TABLE readonly_router_event RENAME TO kept",
        "CREATE VIEW readonly_router_event AS SELECT * FROM kept",
    ),
    "another table in its place": (
        "ALTER TABLE readonly_router_event RENAME TO kept",
        "CREATE TABLE readonly_router_event (id int)",
    ),
    "a trigger that raises": (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'planted'; END $$",
        "CREATE TRIGGER planted BEFORE INSERT OR UPDATE ON readonly_router_event"
        " FOR EACH ROW EXECUTE FUNCTION refuse()",
    ),
}
every_plant = pytest.mark.parametrize("plants", PLANTS.values(), ids=PLANTS)


def plant(pair: Scratch, plants: tuple[str, ...]) -> None:
    with pair.login(pair.writer) as owner:
        owner.execute("SET default_transaction_read_only = off")
        for statement in plants:
            owner.execute(statement.encode())


def may_log_in(pair: Scratch) -> bool:
    with pair.superuser() as superuser:
        return bool(value(superuser, "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", pair.writer))


@every_plant
def test_an_admin_opens_and_says_what_could_not_be_noted(fresh_pair: Scratch, plants: tuple[str, ...]) -> None:
    switched(fresh_pair, "--admin-url", fresh_pair.admin_url)
    plant(fresh_pair, plants)
    outcome = read_only(fresh_pair, "off", "--admin-url", fresh_pair.admin_url)
    assert (outcome.status, default_of(fresh_pair)) == (1, "off")
    assert "is open again, but that could not be noted" in outcome.err.splitlines()[-1]


@every_plant
def test_the_writers_own_login_opens_too(fresh_pair: Scratch, plants: tuple[str, ...]) -> None:
    switched(fresh_pair)
    plant(fresh_pair, plants)
    outcome = read_only(fresh_pair, "off")
    assert (outcome.status, default_of(fresh_pair)) == (1, "off")
    assert "is open again, but that could not be noted" in outcome.err.splitlines()[-1]


def test_sessions_that_began_read_only_are_ended_all_the_same(fresh_pair: Scratch) -> None:
    switched(fresh_pair)
    with fresh_pair.login(fresh_pair.writer) as begun:
        plant(fresh_pair, PLANTS["a trigger that raises"])
        assert read_only(fresh_pair, "off").status == 1
        with pytest.raises(psycopg.OperationalError):
            begun.execute("SELECT 1")


def test_an_undo_is_not_kept_away_either(fresh_pair: Scratch, tmp_path: Path) -> None:
    with transaction(fresh_pair), running(fresh_pair, tmp_path, "on", "--deadline", "3s") as command:
        command.wait_for_line("begin read-only")
        plant(fresh_pair, ("UPDATE readonly_router_event SET details = '7'",))
        outcome = command.end()
    assert (outcome.status, default_of(fresh_pair)) == (3, "off")


@pytest.mark.parametrize("name", ["a view in its place", "another table in its place"])
def test_a_login_that_was_taken_is_given_back(fresh_pair: Scratch, name: str) -> None:
    switched(fresh_pair, "--admin-url", fresh_pair.admin_url, "--fence", "login")
    with fresh_pair.superuser() as superuser:
        for statement in PLANTS[name]:
            superuser.execute(statement.encode())
    outcome = read_only(fresh_pair, "off", "--admin-url", fresh_pair.admin_url)
    assert (outcome.status, default_of(fresh_pair), may_log_in(fresh_pair)) == (1, "off", True)


def test_a_value_that_no_command_wrote_is_a_note(fresh_pair: Scratch) -> None:
    switched(fresh_pair)
    plant(fresh_pair, ("UPDATE readonly_router_event SET details = '7'",))
    outcome = read_only(fresh_pair, "off")
    assert (outcome.status, default_of(fresh_pair), events(fresh_pair)) == (0, "off", ["on", "off"])
    assert "note: the events cannot be read and are left alone" in outcome.err


def test_once_it_is_mended_off_notes_it(fresh_pair: Scratch) -> None:
    switched(fresh_pair, "--admin-url", fresh_pair.admin_url)
    plant(fresh_pair, PLANTS["a view in its place"])
    read_only(fresh_pair, "off", "--admin-url", fresh_pair.admin_url)
    with fresh_pair.superuser() as superuser:
        superuser.execute("DROP VIEW readonly_router_event")
        superuser.execute("ALTER TABLE kept RENAME TO readonly_router_event")
    assert read_only(fresh_pair, "off", "--admin-url", fresh_pair.admin_url).status == 0
    assert (events(fresh_pair)[-1], state(fresh_pair).gone) == ("off", None)


def test_on_is_still_refused(fresh_pair: Scratch) -> None:
    plant(fresh_pair, PLANTS["a view in its place"])
    outcome = read_only(fresh_pair, "on", "--admin-url", fresh_pair.admin_url)
    assert (outcome.status, default_of(fresh_pair), "is no table" in outcome.err) == (1, "off", True)
