"""The switch with the twin on a streaming standby, which lags behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from readonly_router import ReadOnlyError, get_status, is_read_only
from readonly_router.following import followers
from readonly_router.following.watch import watch_of
from readonly_router.mark import MARKS, SETTING
from tests import database
from tests.database import Scratch
from tests.harness.clients import clients
from tests.harness.pairs import by_way_of, lead, wait_for
from tests.harness.servers import Servers
from tests.harness.switches import (
    changes,
    make_switchable,
    names,
    read,
    throw_off,
    throw_on,
    wait_until_followed,
    write,
)
from tests.switch.switching import read_only, spelt

ROUNDS = 100
SET = f'ALTER ROLE "{{writer}}" IN DATABASE "{{name}}" SET {SETTING} = \'{MARKS[0]}\''
RESET = f'ALTER ROLE "{{writer}}" IN DATABASE "{{name}}" RESET {SETTING}'


@pytest.fixture(scope="module")
def site(servers_of_major: Servers, django_db_blocker: Any) -> Iterator[Scratch]:
    """A pair that is ready to be switched."""
    with django_db_blocker.unblock(), database.scratch(servers_of_major.primary) as made:
        make_switchable(made)
        yield made


@pytest.fixture
def shop(site: Scratch, servers_of_major: Servers) -> Iterator[Scratch]:
    """The site with its twin on the standby; writable and known to be so there after each test."""
    servers_of_major.catch_up()
    lead(site.twin_alias, servers_of_major.standby)
    yield site
    connections.close_all()
    lead(site.alias, servers_of_major.primary)
    throw_off(site, grace=0)
    servers_of_major.catch_up()
    followers.forget()


def asked(pair: Scratch) -> bool:
    """Ask the twin's server for the switch, whenever it was asked last; return what it says."""
    return followers.of(pair.alias).ask(connections[pair.alias].connection).read_only


def reads_on_standby(pair: Scratch) -> bool:
    with connections[pair.alias].cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        return bool(cursor.fetchone()[0])


# -- following


def test_the_process_follows_on_and_off(shop: Scratch) -> None:
    wait_until_followed(shop, on=False)
    throw_on(shop)
    wait_until_followed(shop, on=True)
    on_standby = reads_on_standby(shop)
    throw_off(shop)
    wait_until_followed(shop, on=False)
    assert (on_standby, reads_on_standby(shop)) == (True, False)


def test_it_learns_why_from_the_standby(shop: Scratch, servers_of_major: Servers) -> None:
    throw_on(shop, reason="moving")
    servers_of_major.catch_up()
    connections[shop.twin_alias].ensure_connection()
    followers.of(shop.alias).ask(connections[shop.twin_alias].connection)
    assert get_status(shop.alias).reason == "moving"


def test_listen_is_never_sent_to_a_standby(shop: Scratch) -> None:
    throw_on(shop)
    wait_until_followed(shop, on=True)
    watch = watch_of(connections[shop.alias].connection)
    wait_for(lambda: read(shop) and watch.pushed is not None)
    assert not watch.pushed


# -- a standby that lags


def test_a_standby_that_has_not_replayed_on_does_not_make_the_process_writable(
    shop: Scratch, servers_of_major: Servers
) -> None:
    read(shop)
    with changes(shop) as told, servers_of_major.standby_behind():
        throw_on(shop)
        wait_until_followed(shop, on=True)
        says = [asked(shop) for _ in range(3)]
        with pytest.raises(ReadOnlyError):
            write(shop, "by a stale answer")
    assert (says, told, is_read_only(shop.alias)) == ([False] * 3, [True], True)


def test_a_process_that_begins_while_the_standby_lags_is_read_only(
    shop: Scratch, servers_of_major: Servers
) -> None:
    with servers_of_major.standby_behind():
        throw_on(shop)
        connections.close_all()
        followers.forget()
        wait_until_followed(shop, on=True)
        assert (asked(shop), is_read_only(shop.alias)) == (False, True)


def test_it_stays_read_only_when_the_standby_has_replayed_on(shop: Scratch, servers_of_major: Servers) -> None:
    read(shop)
    with changes(shop) as told:
        with servers_of_major.standby_behind():
            throw_on(shop)
            wait_until_followed(shop, on=True)
        servers_of_major.catch_up()
        assert (asked(shop), told) == (True, [True])


def test_a_standby_that_replays_on_while_it_answers_is_not_believed(shop: Scratch) -> None:
    """What it says is of a moment before the place in the WAL that it tells."""
    with changes(shop) as told, shop.login(shop.writer) as writer, asked_all_the_time(shop) as answers:
        for _ in range(ROUNDS):
            writer.execute(SET.format(writer=shop.writer, name=shop.name).encode())
            followers.of(shop.alias).ask(writer)
            wait_for(lambda: answers[-1:] == [True], pause=0.001)
            writer.execute(RESET.format(writer=shop.writer, name=shop.name).encode())
            wait_for(lambda: not is_read_only(shop.alias), pause=0.001)
    assert told == [True, False] * ROUNDS


@contextmanager
def asked_all_the_time(pair: Scratch) -> Iterator[list[bool]]:
    """Ask the twin's server for the switch in a thread, and collect what it says."""
    over, answers = threading.Event(), list[bool]()

    def ask() -> None:
        connections[pair.twin_alias].ensure_connection()
        try:
            while not over.is_set():
                answers.append(followers.of(pair.alias).ask(connections[pair.twin_alias].connection).read_only)
        finally:
            connections.close_all()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


def test_off_is_followed_once_the_standby_has_replayed_it(shop: Scratch, servers_of_major: Servers) -> None:
    throw_on(shop)
    wait_until_followed(shop, on=True)
    servers_of_major.catch_up()
    with servers_of_major.standby_behind():
        throw_off(shop)
        assert (asked(shop), read(shop), is_read_only(shop.alias)) == (True, True, True)
    wait_until_followed(shop, on=False)
    write(shop, "after the lag")
    assert "after the lag" in names(shop)


def test_no_read_fails_and_no_write_lands_late(shop: Scratch, servers_of_major: Servers) -> None:
    with clients(shop, persistent=False) as met:
        wait_for(lambda: len(met.acknowledged) > 0)
        with servers_of_major.standby_behind():
            throw_on(shop, grace=1)
            proved, refused = names(shop), met.refusals
            wait_for(lambda: met.refusals > refused and is_read_only(shop.alias))
        late = names(shop) - proved
        throw_off(shop)
        wait_for(lambda: met.acknowledged - proved != set())
    assert (met.failures, late, met.acknowledged - names(shop), met.reads > 0) == ([], set(), set(), True)


# -- on needs the primary


@pytest.mark.parametrize("verb", ["on", "off", "verify"])
def test_a_writer_on_the_standby_is_refused_in_one_line(
    shop: Scratch, servers_of_major: Servers, verb: str
) -> None:
    receipt = throw_on(shop) if verb == "verify" else None
    servers_of_major.catch_up()
    before = spelt(shop)
    lead(shop.alias, servers_of_major.standby)
    outcome = read_only(shop, verb)
    assert (outcome.status, outcome.err.count("\n"), spelt(shop)) == (1, 1, before)
    assert f"'{shop.alias}' leads to a standby" in outcome.err
    assert receipt is None or receipt.alias == shop.alias


@pytest.mark.parametrize(("writer", "admin"), [("standby", "primary"), ("primary", "standby")])
def test_an_admin_on_the_other_server_is_refused(
    shop: Scratch, servers_of_major: Servers, writer: str, admin: str
) -> None:
    places = {"primary": servers_of_major.primary, "standby": servers_of_major.standby}
    lead(shop.alias, places[writer])
    outcome = read_only(shop, "on", "--admin-url", by_way_of(shop.admin_url, places[admin]))
    assert (outcome.status, outcome.err.count("\n"), spelt(shop)) == (1, 1, [])
    assert "leads to another server" in outcome.err
