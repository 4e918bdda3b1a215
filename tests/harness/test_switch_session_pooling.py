"""The switch thrown while the site goes through PgBouncer in session pooling: a client's session ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connections

from readonly_router import ReadOnlyError, is_read_only, writable
from readonly_router.following import followers
from readonly_router.following.watch import watch_of
from tests import database
from tests.database import Scratch
from tests.harness.clients import clients
from tests.harness.pairs import wait_for
from tests.harness.pgbouncer import pooler
from tests.harness.pools import end_pool, lead_through, pool_size, pooled, session, tell_anew
from tests.harness.switches import (
    FOLLOW_SECONDS,
    make_switchable,
    names,
    read,
    throw_off,
    throw_on,
    verified,
    wait_until_followed,
    write,
)
from tests.switch.switching import read_only, spelt, value

SETTING = "default_transaction_read_only"


@pytest.fixture(scope="module")
def site(server: str, django_db_blocker: Any) -> Iterator[Scratch]:
    """A pair that is ready to be switched."""
    with django_db_blocker.unblock(), database.scratch(server) as made:
        make_switchable(made)
        yield made


@pytest.fixture(scope="module")
def session_bouncer(site: Scratch) -> Iterator[str]:
    """The superuser's URL through a PgBouncer that gives each client of the site's a session of its own."""
    place = urlsplit(site.server)
    line = f"{site.name} = host={place.hostname} port={place.port} pool_mode=session"
    with pooler(site.server, databases=line) as url:
        yield url


@pytest.fixture
def shop(site: Scratch, session_bouncer: str) -> Iterator[Scratch]:
    """The site with both of its logins behind that PgBouncer; writable and with new pools after each test."""
    lead_through(site, session_bouncer)
    yield site
    connections.close_all()
    throw_off(site, grace=0)
    for user in (site.writer, site.twin):
        end_pool(site, user)
    tell_anew(site, session_bouncer)
    followers.forget()


def insert(connection: psycopg.Connection[Any], name: str) -> None:
    """Write as a program that never heard of the switch."""
    connection.execute("INSERT INTO shop_tag (name) VALUES (%s)", [name])


def test_it_pools_sessions(shop: Scratch, session_bouncer: str) -> None:
    with pooled(shop, session_bouncer, shop.writer) as client:
        client.execute("SET lock_timeout = '7s'")
        assert value(client, "SHOW lock_timeout") == "7s"
        assert session(shop, session_bouncer, shop.writer)[1] == "0"


def test_the_command_refuses_to_go_through_the_pooler_in_one_line(shop: Scratch) -> None:
    outcome = read_only(shop, "on")
    assert (outcome.status, outcome.err.count("\n"), spelt(shop)) == (1, 1, [])
    assert "--admin-url (or DATABASE_ADMIN_URL)" in outcome.err


# -- on


def test_a_kept_connection_whose_session_was_ended_goes_on_without_an_error(shop: Scratch) -> None:
    read(shop)
    before = connections[shop.alias].connection
    receipt = throw_on(shop)
    assert read(shop)
    assert (receipt.ended > 0, before.closed, connections[shop.alias].alias) == (True, True, shop.twin_alias)


def test_a_session_that_is_back_in_the_pool_is_replaced_too(shop: Scratch, session_bouncer: str) -> None:
    before = session(shop, session_bouncer, shop.writer)
    throw_on(shop)
    after = session(shop, session_bouncer, shop.writer)
    assert (after[0] != before[0], before[3], after[3]) == (True, "off", "on")


def test_a_program_that_never_heard_of_the_switch_cannot_write(shop: Scratch, session_bouncer: str) -> None:
    """Its session ends, and the next begins read-only."""
    with pooled(shop, session_bouncer, shop.writer) as client:
        client.execute("SELECT 1")
        receipt = throw_on(shop)
        with pytest.raises(psycopg.OperationalError):
            insert(client, "program")
    with (
        pooled(shop, session_bouncer, shop.writer) as client,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        insert(client, "program")
    assert ("program" in names(shop), verified(shop, receipt)) == (False, True)


def test_a_transaction_is_waited_for(shop: Scratch, session_bouncer: str) -> None:
    with pooled(shop, session_bouncer, shop.writer) as client, ThreadPoolExecutor(1) as threads:
        with client.transaction():
            insert(client, "in time")
            command = threads.submit(throw_on, shop)
            wait_for(lambda: command.done() or spelt(shop) != [])
            assert not command.done()
        receipt = command.result()
    assert ("in time" in names(shop), verified(shop, receipt)) == (True, True)


def test_a_write_is_refused_by_the_twin(shop: Scratch) -> None:
    read(shop)
    throw_on(shop)
    with pytest.raises(ReadOnlyError) as refusal:
        write(shop, "refused")
    assert (refusal.value.alias, "refused" in names(shop)) == (shop.twin_alias, False)


def test_writable_is_refused_and_leaves_nothing_in_the_session(shop: Scratch, session_bouncer: str) -> None:
    throw_on(shop)
    with writable(), pytest.raises(ReadOnlyError):
        write(shop, "through")
    connections.close_all()
    left = session(shop, session_bouncer, shop.writer)[3]
    assert ("through" in names(shop), left, pool_size(shop, shop.writer)) == (False, "on", 1)


# -- following


@pytest.mark.parametrize("persistent", [True, False], ids=["kept connection", "connection per request"])
def test_the_process_follows_on_and_off(shop: Scratch, persistent: bool) -> None:
    def follows(on: bool) -> bool:
        if not persistent:
            connections.close_all()
        return read(shop) and is_read_only(shop.alias) is on

    assert follows(False)
    throw_on(shop)
    wait_for(lambda: follows(True), seconds=FOLLOW_SECONDS)
    throw_off(shop)
    wait_for(lambda: follows(False), seconds=FOLLOW_SECONDS)


def test_listen_is_never_sent_through_the_pooler(shop: Scratch) -> None:
    """It would work there, but nobody can tell this pooler from another."""
    read(shop)
    connection = connections[shop.alias].connection
    watch = watch_of(connection)
    wait_for(lambda: is_read_only(shop.alias) or watch.pushed is not None)
    heard = connection.execute("SELECT count(*) FROM pg_listening_channels()").fetchone()
    assert (watch.pushed, heard) == (False, (0,))


# -- off


def test_a_session_that_began_read_only_is_not_handed_out_again(shop: Scratch, session_bouncer: str) -> None:
    throw_on(shop)
    stale = session(shop, session_bouncer, shop.writer)
    throw_off(shop)
    with pooled(shop, session_bouncer, shop.writer) as client:
        insert(client, "renewed")
    assert (stale[3], "renewed" in names(shop)) == ("on", True)


def test_the_process_writes_again(shop: Scratch) -> None:
    throw_on(shop)
    wait_until_followed(shop, on=True)
    throw_off(shop)
    wait_until_followed(shop, on=False)
    write(shop, "again")
    assert "again" in names(shop)


# -- while the site is at work


def test_no_read_fails_and_no_write_lands_late(shop: Scratch) -> None:
    with clients(shop, persistent=True) as met:
        wait_for(lambda: len(met.acknowledged) > 0)
        throw_on(shop, grace=1.5)
        proved = names(shop)
        refused = met.refusals
        wait_for(lambda: met.refusals > refused and is_read_only(shop.alias))
        late = names(shop) - proved
        # Sessions that are renewed under a query end with an error, so there are none.
        end_pool(shop, shop.writer)
        throw_off(shop)
        wait_for(lambda: met.acknowledged - proved != set())
    assert (met.failures, late, met.acknowledged - names(shop), met.reads > 0) == ([], set(), set(), True)
