"""create_readonly_role beside the switch: while it is on, and throwing it at its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from readonly_router.following import followers
from tests.database import Scratch
from tests.roles.provisioning import command
from tests.switch.switching import default_of, events, read_only, state, switched, transaction, value
from tests.switch.test_verify import verify


@pytest.fixture
def migrated(scratch: Scratch, django_db_blocker: Any) -> Iterator[Scratch]:
    """A pair that was migrated, with a table, and without its twin."""
    with django_db_blocker.unblock(), override_settings(READONLY_ROUTER_GRACE="0s"):
        call_command("migrate", "readonly_router", database=scratch.alias, verbosity=0)
        connections[scratch.alias].close()
        scratch.run("CREATE TABLE note (id serial PRIMARY KEY, text text)")
        yield scratch
    followers.forget()


def test_enable_provisions_proves_and_switches_on(migrated: Scratch) -> None:
    status, out, err = command(migrated, "--enable")
    assert (status, default_of(migrated), state(migrated).proved) == (0, "on", True), err
    assert "writes possible: 0" in out
    assert f"{migrated.alias}: READ-ONLY, proved at" in out


def test_enable_switches_nothing_when_the_role_is_not_proved(migrated: Scratch) -> None:
    migrated.run("GRANT INSERT ON note TO PUBLIC")
    status, _, err = command(migrated, "--enable")
    assert (status, "not proved" in err) == (1, True)
    assert (default_of(migrated), events(migrated)) == ("off", [])


@override_settings(READONLY_ROUTER_DEADLINE="200ms")
def test_enable_that_misses_the_deadline_exits_3_and_keeps_the_role(migrated: Scratch) -> None:
    command(migrated)
    with transaction(migrated):
        status, _, _ = command(migrated, "--enable")
    assert (status, default_of(migrated), events(migrated)) == (3, "off", ["on", "undone"])
    assert command(migrated, "--check")[0] == 0


def test_enable_twice_says_that_it_is_on_already(migrated: Scratch) -> None:
    command(migrated, "--enable")
    status, _, err = command(migrated, "--enable")
    assert (status, "on already since" in err, events(migrated)) == (0, True, ["on"])


def test_the_role_can_be_made_anew_while_the_switch_is_on(migrated: Scratch) -> None:
    command(migrated, "--enable")
    with migrated.superuser() as superuser:
        superuser.execute("CREATE TABLE later (id int)")
        superuser.execute(f'REVOKE ALL ON later FROM "{migrated.twin}"'.encode())
    assert command(migrated, "--check")[0] == 1
    status, out, err = command(migrated)
    assert (status, "not readable: 0" in out) == (0, True), err
    assert (state(migrated).read_only, default_of(migrated)) == (True, "on")


def test_it_works_with_the_writers_own_login_while_the_switch_is_on(migrated: Scratch) -> None:
    """The writer's sessions begin read-only then: the command's own may write."""
    command(migrated)
    with migrated.superuser() as superuser:
        superuser.execute(f'REVOKE SELECT ON note FROM "{migrated.twin}"'.encode())
    switched(migrated, "--accept-unreadable")
    status, _, err = command(migrated, url=migrated.url(migrated.writer))
    assert status == 0, err
    with migrated.login(migrated.twin) as reader:
        assert value(reader, "SELECT count(*) FROM note") == 0


def test_a_run_that_finds_nothing_to_do_leaves_the_receipt_clean(migrated: Scratch) -> None:
    command(migrated, "--enable")
    assert command(migrated)[0] == 0
    outcome = verify(migrated)
    assert outcome.status == 0, outcome.out


@pytest.mark.parametrize("verb", ["--check", "--dry-run", "--sql", "--drop"])
def test_enable_beside_a_verb_that_makes_nothing_is_refused(migrated: Scratch, verb: str) -> None:
    status, _, err = command(migrated, "--enable", verb)
    assert (status, "--enable has no effect" in err) == (2, True)


def test_a_real_twin_tells_and_verifies_while_the_writer_is_locked_out(migrated: Scratch) -> None:
    command(migrated)
    switched(migrated, "--fence", "login", "--admin-url", migrated.admin_url)
    assert (read_only(migrated, "status", "--exit-code").status, read_only(migrated, "verify").status) == (1, 0)


def test_the_role_cannot_be_dropped_by_accident_under_the_switch(migrated: Scratch) -> None:
    command(migrated, "--enable")
    with migrated.login(migrated.twin):
        assert command(migrated, "--drop")[0] == 1
    assert state(migrated).read_only
