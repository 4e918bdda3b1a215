"""`--fence login`: the writer may not even log in, and gets back what was taken and no more."""

from __future__ import annotations

import signal
from pathlib import Path

import psycopg
import pytest
from django.db import connections
from django.db.utils import OperationalError
from django.test import override_settings
from psycopg import sql

from readonly_router import writable
from tests.database import Scratch
from tests.switch.switching import (
    Outcome,
    events,
    process,
    read_only,
    running,
    spelt,
    state,
    switched,
    transaction,
    value,
)

pytestmark = pytest.mark.usefixtures("unsettled")


def with_admin(pair: Scratch, verb: str, *arguments: str) -> Outcome:
    return read_only(pair, verb, "--admin-url", pair.admin_url, *arguments)


def fenced(pair: Scratch, *arguments: str) -> None:
    receipt = switched(pair, "--fence", "login", "--admin-url", pair.admin_url, *arguments)
    assert receipt.fence == "login"


def may_log_in(pair: Scratch, role: str = "") -> bool:
    with pair.superuser() as superuser:
        return bool(value(superuser, "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", role or pair.writer))


def test_the_writer_may_not_log_in(pair: Scratch) -> None:
    fenced(pair)
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        pair.login(pair.writer)


def test_no_option_lets_an_uncooperative_client_in(pair: Scratch) -> None:
    fenced(pair)
    with pytest.raises(psycopg.OperationalError):
        pair.login(pair.writer, options="-c default_transaction_read_only=off")


def test_reads_go_on_through_the_twin(pair: Scratch) -> None:
    pair.run("INSERT INTO note (text) VALUES ('early')")
    fenced(pair)
    with pair.login(pair.twin) as reader:
        assert value(reader, "SELECT text FROM note") == "early"


def test_a_site_whose_options_undo_the_default_is_fenced_all_the_same(pair: Scratch) -> None:
    connections.settings[pair.alias]["OPTIONS"]["options"] = "-c default_transaction_read_only=off"
    fenced(pair)
    assert state(pair).proved


def test_it_needs_a_login_that_may_alter_the_writer(pair: Scratch) -> None:
    outcome = read_only(pair, "on", "--fence", "login")
    assert (outcome.status, "--admin-url" in outcome.err, events(pair)) == (1, True, [])


def test_off_gives_the_login_back(pair: Scratch) -> None:
    fenced(pair)
    outcome = with_admin(pair, "off")
    assert (outcome.status, may_log_in(pair), spelt(pair)) == (0, True, [])


def test_off_gives_back_only_what_was_taken(pair: Scratch) -> None:
    """A group that owns tables never had a login, and must not get one."""
    group, other = pair.role("group", "NOLOGIN"), pair.role("other")
    fenced(pair, "--writer", group, "--writer", other)
    during = [may_log_in(pair, role) for role in (pair.writer, group, other)]
    with_admin(pair, "off")
    assert during == [False, False, False]
    assert [may_log_in(pair, role) for role in (pair.writer, group, other)] == [True, False, True]


def test_a_missed_deadline_gives_the_login_back(pair: Scratch) -> None:
    with transaction(pair):
        outcome = with_admin(pair, "on", "--fence", "login", "--deadline", "200ms")
    assert (outcome.status, may_log_in(pair), events(pair)) == (3, True, ["on", "undone"])


def test_status_tells_it_without_the_admin(pair: Scratch) -> None:
    fenced(pair, "--reason", "moving")
    outcome = read_only(pair, "status", "--exit-code")
    assert (outcome.status, "reason: moving" in outcome.out, state(pair).nologin) == (1, True, (pair.writer,))


@pytest.mark.parametrize("verb", ["on", "off", "exec"])
def test_what_needs_the_writer_says_to_name_an_admin(pair: Scratch, verb: str) -> None:
    fenced(pair)
    outcome = read_only(pair, verb, *(["check"] if verb == "exec" else []))
    assert (outcome.status, outcome.err.count("\n"), "--admin-url" in outcome.err) == (1, 1, True), outcome.err


def test_writable_is_refused_by_postgresql(pair: Scratch) -> None:
    fenced(pair)
    connections[pair.alias].close()
    with writable(), pytest.raises(OperationalError, match="not permitted to log in"):
        connections[pair.alias].cursor()


def test_on_again_says_so_and_changes_nothing(pair: Scratch) -> None:
    fenced(pair)
    again = with_admin(pair, "on")
    assert (again.status, "on already" in again.err, events(pair)) == (0, True, ["on"])


def test_a_killed_command_is_completed_by_off_and_on(pair: Scratch, tmp_path: Path) -> None:
    # What could keep the receipt cannot log in, and an admin writes no table of the site.
    killed_after_the_flip(pair, tmp_path)
    again = with_admin(pair, "on")
    assert (again.status, "run read_only off, then on again" in again.err, may_log_in(pair)) == (1, True, False)
    assert with_admin(pair, "off").status == 0
    fenced(pair)
    assert (state(pair).proved, may_log_in(pair)) == (True, False)


def test_a_killed_command_is_undone_by_off(pair: Scratch, tmp_path: Path) -> None:
    killed_after_the_flip(pair, tmp_path)
    assert not may_log_in(pair)
    assert with_admin(pair, "off").status == 0
    assert may_log_in(pair)


def killed_after_the_flip(pair: Scratch, folder: Path) -> None:
    arguments = ("on", "--fence", "login")
    with transaction(pair), running(pair, folder, *arguments, DATABASE_ADMIN_URL=pair.admin_url) as command:
        command.wait_for_line("begin read-only")
        command.end(signal.SIGKILL)
    assert (state(pair).read_only, state(pair).proved) == (True, False)


def test_the_admin_comes_from_the_environment_too(pair: Scratch, tmp_path: Path) -> None:
    outcome = process(pair, tmp_path, "on", "--fence", "login", DATABASE_ADMIN_URL=pair.admin_url)
    assert (outcome.status, may_log_in(pair)) == (0, False)


@override_settings(READONLY_ROUTER_FENCE="login")
def test_the_setting_asks_for_it_as_the_option_does(pair: Scratch) -> None:
    assert with_admin(pair, "on").status == 0
    assert not may_log_in(pair)


def test_a_login_that_is_lost_while_the_setting_is_gone_is_given_back(pair: Scratch) -> None:
    """Somebody reset the setting by hand: the login is still what on took."""
    fenced(pair)
    with pair.superuser() as superuser:
        names = (sql.Identifier(pair.writer), sql.Identifier(pair.name))
        superuser.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} RESET ALL").format(*names))
    with_admin(pair, "off")
    assert (may_log_in(pair), events(pair)) == (True, ["on", "off"])
