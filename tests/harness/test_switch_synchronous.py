"""The switch where each commit waits for a synchronous standby that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests import database
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.harness.servers import Servers
from tests.harness.switches import make_switchable
from tests.switch.switching import default_of, events, read_only, running, switched


@pytest.fixture
def pair(servers_of_major: Servers, django_db_blocker: Any) -> Iterator[Scratch]:
    """A pair that is ready to be switched."""
    with django_db_blocker.unblock(), database.scratch(servers_of_major.primary) as made:
        make_switchable(made)
        yield made


@contextmanager
def nobody_confirms(servers: Servers) -> Iterator[None]:
    """Name a standby that does not exist for the length of the block."""
    try:
        name_standbys(servers, "nobody")
        yield
    finally:
        name_standbys(servers, "")


def name_standbys(servers: Servers, names: str) -> None:
    with psycopg.connect(servers.primary, autocommit=True) as superuser:
        superuser.execute(sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}").format(names))
        superuser.execute("SELECT pg_reload_conf()")
    wait_for(lambda: servers.ask("SHOW synchronous_standby_names") == names)


def test_on_gives_up_at_its_deadline_says_why_and_is_undone(pair: Scratch, servers_of_major: Servers) -> None:
    with nobody_confirms(servers_of_major):
        outcome = read_only(pair, "on", "--deadline", "2s")
    assert (outcome.status, default_of(pair), events(pair)) == (1, "off", ["on", "undone"])
    assert "committed here, but a synchronous standby (synchronous_standby_names = 'nobody')" in outcome.err
    assert "did not confirm it within 2 s" in outcome.err.splitlines()[-1]
    assert "The switch was undone." in outcome.err.splitlines()[-1]


def test_on_tells_what_it_waits_for_and_goes_on_once_it_is_confirmed(
    pair: Scratch, servers_of_major: Servers, tmp_path: Path
) -> None:
    with nobody_confirms(servers_of_major), running(pair, tmp_path, "on", "--deadline", "60s") as command:
        command.wait_for_line("has not confirmed it yet")
        name_standbys(servers_of_major, "")
        outcome = command.end()
    assert (outcome.status, default_of(pair), events(pair)) == (0, "on", ["on"]), outcome.err


def test_off_opens_here_says_so_and_does_not_hang(pair: Scratch, servers_of_major: Servers, settings: Any) -> None:
    switched(pair)
    settings.READONLY_ROUTER_DEADLINE = "2s"
    with nobody_confirms(servers_of_major):
        outcome = read_only(pair, "off")
    assert (outcome.status, default_of(pair), events(pair)) == (0, "off", ["on", "off"]), outcome.err
    assert "committed here, but a synchronous standby (synchronous_standby_names = 'nobody')" in outcome.err
