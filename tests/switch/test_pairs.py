"""Several pairs in one command: all of them or none, whichever of them fails and wherever."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings
from psycopg import sql

from readonly_router.errors import SwitchError
from readonly_router.following import followers
from readonly_router.switch.on import switch_on
from readonly_router.switch.receipt import Receipt
from tests.database import Scratch, forget
from tests.switch.stage import played, stage
from tests.switch.switching import (
    Outcome,
    default_of,
    events,
    run,
    running,
    transaction,
)

Pairs = tuple[Scratch, Scratch]


@pytest.fixture(scope="module")
def second_stage(server: str) -> Iterator[Scratch]:
    with stage(server) as made:
        yield made


@pytest.fixture
def pairs(first_stage: Scratch, second_stage: Scratch, django_db_blocker: Any) -> Iterator[Pairs]:
    """Two pairs, each in a database of its own, ready to be switched; the only ones of the site."""
    with django_db_blocker.unblock(), played(second_stage) as made:
        second = replace(made, alias="second", twin_alias="second_twin")
        for alias, of in ((second.alias, made.alias), (second.twin_alias, made.twin_alias)):
            connections.settings[alias] = deepcopy(connections.settings[of])
        # The next takes over the aliases of the one before.
        with played(first_stage) as first:
            aliases = {pair.alias: pair.twin_alias for pair in (first, second)}
            with override_settings(READONLY_ROUTER_PAIRS=aliases):
                yield first, second
        drop_aliases(second)


def drop_aliases(pair: Scratch) -> None:
    followers.forget()
    for alias in (pair.alias, pair.twin_alias):
        forget(alias)
        del connections.settings[alias]


def on(*arguments: str) -> Outcome:
    return run("on", "--grace", "0s", *arguments)


def defaults(pairs: Pairs) -> list[str]:
    return [default_of(pair) for pair in pairs]


def test_every_pair_is_switched(pairs: Pairs) -> None:
    outcome = on("--json")
    receipts = [Receipt.from_json(json.dumps(found)) for found in json.loads(outcome.out)]
    assert [receipt.alias for receipt in receipts] == ["scratch", "second"]
    assert [receipt.horizon.database for receipt in receipts] == [pair.name for pair in pairs]
    assert defaults(pairs) == ["on", "on"]


def test_every_pair_is_verified_and_opened(pairs: Pairs) -> None:
    on()
    assert (run("verify").status, run("status", "--exit-code").status) == (0, 1)
    assert (run("off").status, defaults(pairs)) == (0, ["off", "off"])


def test_one_pair_can_be_switched_alone(pairs: Pairs) -> None:
    assert on("--database", "second").status == 0
    assert (defaults(pairs), events(pairs[0])) == (["off", "on"], [])


def test_a_write_to_one_of_them_is_told(pairs: Pairs) -> None:
    on()
    with pairs[1].superuser() as superuser:
        superuser.execute("SELECT nextval('note_id_seq')")
    outcome = run("verify")
    assert (outcome.status, "scratch: nothing was written" in outcome.out) == (1, True)
    assert "second: WRITTEN" in outcome.out


@pytest.mark.parametrize("which", [0, 1])
def test_a_pair_that_is_refused_keeps_the_others_from_being_switched(pairs: Pairs, which: int) -> None:
    pairs[which].run("DROP TABLE readonly_router_event")
    outcome = on()
    assert (outcome.status, defaults(pairs), events(pairs[1 - which])) == (1, ["off", "off"], [])


def test_a_pair_that_cannot_be_reached_keeps_the_others_from_being_switched(pairs: Pairs) -> None:
    connections.settings["second"]["PASSWORD"] = "wrong"
    outcome = on()
    assert (outcome.status, "Cannot log in as the writer 'second'" in outcome.err) == (1, True)
    assert (defaults(pairs), events(pairs[0])) == (["off", "off"], [])


@pytest.mark.parametrize("which", [0, 1])
def test_a_flip_that_fails_undoes_the_others(pairs: Pairs, which: int) -> None:
    with pairs[which].superuser() as superuser:
        superuser.execute("ALTER TABLE readonly_router_event ADD CHECK (kind <> 'on')")
    outcome = on()
    assert (outcome.status, "PostgreSQL said: " in outcome.err) == (1, True)
    assert (defaults(pairs), events(pairs[which])) == (["off", "off"], [])


@pytest.mark.parametrize("which", [0, 1])
def test_a_drain_that_misses_its_deadline_undoes_the_others(pairs: Pairs, which: int, tmp_path: Path) -> None:
    file = tmp_path / "receipts.json"
    with transaction(pairs[which]):
        outcome = on("--deadline", "200ms", "--receipt", str(file))
    assert (outcome.status, f"'{pairs[which].alias}' was not drained" in outcome.err) == (3, True)
    assert (defaults(pairs), file.exists()) == (["off", "off"], False)
    assert [events(pair) for pair in pairs] == [["on", "undone"]] * 2


def test_an_undo_that_cannot_be_noted_opens_both_and_says_so(pairs: Pairs) -> None:
    first, second = pairs
    with first.superuser() as superuser:
        superuser.execute("ALTER TABLE readonly_router_event ADD CHECK (kind <> 'undone')")
    with transaction(second):
        outcome = on("--deadline", "200ms")
    assert (outcome.status, "undone, but: 'scratch' is open again" in outcome.err) == (3, True)
    assert defaults(pairs) == ["off", "off"]


def test_an_off_that_cannot_be_noted_keeps_no_other_closed(pairs: Pairs) -> None:
    assert on().status == 0
    with pairs[0].superuser() as superuser:
        superuser.execute("ALTER TABLE readonly_router_event ADD CHECK (kind <> 'off')")
    outcome = run("off")
    assert (outcome.status, "'scratch' is open again, but" in outcome.err) == (1, True)
    assert defaults(pairs) == ["off", "off"]


def test_a_listener_that_fails_keeps_no_pair_from_being_undone(pairs: Pairs) -> None:
    def broken(_line: str) -> None:
        raise BrokenPipeError

    with transaction(pairs[1]), pytest.raises(SwitchError):
        switch_on(grace=0, deadline=0.2, tell=broken)
    assert defaults(pairs) == ["off", "off"]


def test_what_was_on_before_is_left_on_by_an_undo(pairs: Pairs) -> None:
    on("--database", "scratch")
    with transaction(pairs[1]):
        assert on("--deadline", "200ms").status == 3
    assert (defaults(pairs), events(pairs[0])) == (["on", "off"], ["on"])


def test_off_that_is_refused_for_one_opens_none(pairs: Pairs) -> None:
    on()
    with pairs[1].superuser() as superuser:
        names = (sql.Identifier(pairs[1].writer), sql.Identifier(pairs[1].name))
        superuser.execute(
            sql.SQL("ALTER ROLE {} IN DATABASE {} SET default_transaction_read_only = on").format(*names)
        )
    assert (run("off").status, defaults(pairs)) == (1, ["on", "on"])


@pytest.fixture
def direct(pairs: Pairs) -> Iterator[Scratch]:
    """A further pair that leads to the first one's database by the same roles, as beside a pooler."""
    made = replace(pairs[0], alias="direct", twin_alias="direct_twin")
    for alias, of in ((made.alias, "scratch"), (made.twin_alias, "scratch_twin")):
        connections.settings[alias] = deepcopy(connections.settings[of])
    with override_settings(READONLY_ROUTER_PAIRS={"scratch": "scratch_twin", "direct": "direct_twin"}):
        yield made
    drop_aliases(made)


def test_two_aliases_of_one_role_have_one_switch(pairs: Pairs, direct: Scratch) -> None:
    outcome = on("--deadline", "2s")
    assert (outcome.status, default_of(direct), events(direct)) == (0, "on", ["on"]), outcome.err
    assert (run("verify").status, run("off").status, default_of(direct)) == (0, 0, "off")


def test_two_aliases_of_one_role_that_is_fenced_are_opened_by_one_command(pairs: Pairs, direct: Scratch) -> None:
    admin = ("--admin-url", direct.admin_url)
    assert on("--fence", "login", *admin).status == 0
    assert (run("off", *admin).status, default_of(direct)) == (0, "off")


def test_two_writers_of_one_database_are_switched_together(pairs: Pairs, direct: Scratch) -> None:
    other = direct.role("other")
    with direct.superuser() as superuser:
        superuser.execute(
            sql.SQL("GRANT ALL ON readonly_router_event, readonly_router_event_id_seq TO {}").format(
                sql.Identifier(other)
            )
        )
    connections.settings["direct"]["USER"] = other
    outcome = on("--deadline", "2s")
    assert (outcome.status, default_of(direct), default_of(direct, other)) == (0, "on", "on"), outcome.err


def test_a_pair_shows_the_switch_of_its_role_by_any_alias(pairs: Pairs, direct: Scratch) -> None:
    on("--database", "scratch", "--reason", "moving")
    assert "reason: moving" in run("status", "--database", "direct").out


def test_an_interrupt_undoes_every_pair(pairs: Pairs, tmp_path: Path) -> None:
    first, second = pairs
    env = {"SECOND_URL": second.url(second.writer), "SECOND_READONLY_URL": second.url(second.twin)}
    with transaction(second), running(first, tmp_path, "on", **env) as command:
        command.wait_for_line("second: new sessions")
        command.wait_for_line("scratch: receipt written")
        outcome = command.end(signal.SIGINT)
    assert (outcome.status, defaults(pairs)) == (130, ["off", "off"])
    assert [events(pair) for pair in pairs] == [["on", "undone"]] * 2
