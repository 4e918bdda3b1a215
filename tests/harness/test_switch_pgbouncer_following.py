"""Processes behind PgBouncer in transaction pooling follow the switch by asking, and no read fails meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.backends.signals import connection_created

from readonly_router import is_read_only
from readonly_router.following import followers
from readonly_router.following.watch import watch_of
from tests import database
from tests.database import Scratch
from tests.harness.clients import clients
from tests.harness.pairs import lead, wait_for
from tests.harness.pools import end_pool, lead_through, pooled, queries, tell_anew
from tests.harness.switches import (
    FOLLOW_SECONDS,
    make_switchable,
    names,
    read,
    throw_off,
    throw_on,
    wait_until_followed,
    write,
)

THREADS = 4
SECONDS = 2.5


@pytest.fixture(scope="module")
def site(server: str, django_db_blocker: Any) -> Iterator[Scratch]:
    """A pair that is ready to be switched."""
    with django_db_blocker.unblock(), database.scratch(server) as made:
        make_switchable(made)
        yield made


@pytest.fixture
def shop(site: Scratch, server: str, bouncer: str) -> Iterator[Scratch]:
    """The site with both of its logins behind PgBouncer; writable, direct, and with new pools after each test."""
    lead_through(site, bouncer)
    yield site
    connections.close_all()
    throw_off(site, grace=0)
    for alias, user in ((site.alias, site.writer), (site.twin_alias, site.twin)):
        lead(alias, server)
        end_pool(site, user)
    tell_anew(site, bouncer)
    followers.forget()


# -- within a second


@pytest.mark.parametrize("persistent", [True, False], ids=["kept connection", "connection per request"])
def test_the_process_follows_on_and_off(shop: Scratch, persistent: bool) -> None:
    """PgBouncer goes on telling new clients what it was told of the setting first."""

    def follows(on: bool) -> bool:
        if not persistent:
            connections.close_all()
        return read(shop) and is_read_only(shop.alias) is on

    assert follows(False)
    throw_on(shop)
    wait_for(lambda: follows(True), seconds=FOLLOW_SECONDS)
    throw_off(shop)
    wait_for(lambda: follows(False), seconds=FOLLOW_SECONDS)


def test_a_pooler_that_was_told_read_only_first_does_not_keep_the_process_so(shop: Scratch, bouncer: str) -> None:
    throw_on(shop)
    end_pool(shop, shop.writer)
    tell_anew(shop, bouncer)
    with pooled(shop, bouncer, shop.writer) as client:
        assert client.info.parameter_status("default_transaction_read_only") == "on"
    throw_off(shop)
    wait_until_followed(shop, on=False)
    write(shop, "told at first")
    assert "told at first" in names(shop)


@pytest.mark.parametrize("direct", ["writer", "twin"])
def test_the_process_follows_when_one_login_alone_is_behind_the_pooler(
    shop: Scratch, server: str, direct: str
) -> None:
    lead(shop.alias if direct == "writer" else shop.twin_alias, server)
    wait_until_followed(shop, on=False)
    throw_on(shop)
    wait_until_followed(shop, on=True)
    throw_off(shop)
    wait_until_followed(shop, on=False)


# -- by one question a second


@contextmanager
def threads_at_work(pair: Scratch) -> Iterator[None]:
    """Have threads ask for the mode all the time, each on an open connection, and send nothing themselves."""
    ready, over = threading.Barrier(THREADS + 1), threading.Event()

    def work() -> None:
        try:
            read(pair)
            ready.wait()
            while not over.wait(0.001):
                is_read_only(pair.alias)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        ready.wait()
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def questions(pair: Scratch, bouncer: str) -> tuple[int, float]:
    """Count what is sent through PgBouncer, the mode being looked for all the time, and for how many seconds."""
    with threads_at_work(pair):
        before, began = queries(pair, bouncer), time.monotonic()
        wait_for(lambda: time.monotonic() - began >= SECONDS)
        return queries(pair, bouncer) - before, time.monotonic() - began


@pytest.mark.parametrize("on", [False, True], ids=["writable", "read-only"])
def test_a_process_asks_at_most_once_a_second(shop: Scratch, bouncer: str, on: bool) -> None:
    if on:
        throw_on(shop)
    wait_until_followed(shop, on=on)
    sent, seconds = questions(shop, bouncer)
    assert 1 <= sent <= seconds + 1


def test_listen_is_never_sent_through_the_pooler(shop: Scratch, bouncer: str) -> None:
    read(shop)
    watch = watch_of(connections[shop.alias].connection)
    wait_for(lambda: is_read_only(shop.alias) or watch.pushed is not None)
    with pooled(shop, bouncer, shop.writer) as client:
        heard = client.execute("SELECT count(*) FROM pg_listening_channels()").fetchone()
    assert (watch.pushed, heard) == (False, (0,))


def test_a_direct_twin_listens_beside_a_writer_behind_the_pooler(shop: Scratch, server: str) -> None:
    """What the test before this one would see if poolers were not noticed."""
    lead(shop.twin_alias, server)
    throw_on(shop)
    wait_until_followed(shop, on=True)
    watch = watch_of(connections[shop.alias].connection)
    wait_for(lambda: read(shop) and watch.pushed is not None)
    assert watch.pushed


# -- while another thread meets the switch


@contextmanager
def another_thread_asks(pair: Scratch, alias: str) -> Iterator[None]:
    """Have the switch asked for on another connection when one of an alias was just opened, as a thread may do."""

    def ask(*, connection: Any, **_: Any) -> None:
        if connection.alias == alias:
            with pair.login(pair.twin) as other:
                followers.of(pair.alias).ask(other)

    connection_created.connect(ask)
    try:
        yield
    finally:
        connection_created.disconnect(ask)


def test_a_block_that_begins_as_another_thread_meets_on_reads(shop: Scratch) -> None:
    wait_until_followed(shop, on=False)
    throw_on(shop)
    connections.close_all()
    followers.of(shop.alias).note_attempt()  # this thread has no question to ask
    with another_thread_asks(shop, shop.alias), transaction.atomic(using=shop.alias):
        answer = read(shop)
    assert (answer, is_read_only(shop.alias)) == (True, True)


def test_a_block_that_begins_as_another_thread_meets_off_ends_where_it_began(shop: Scratch) -> None:
    throw_on(shop)
    wait_until_followed(shop, on=True)
    connections.close_all()
    throw_off(shop)
    followers.of(shop.alias).note_attempt()  # as above
    with another_thread_asks(shop, shop.twin_alias), transaction.atomic(using=shop.alias):
        answer = read(shop)
    blocks = [wrapper.in_atomic_block for wrapper in connections.all(initialized_only=True)]
    assert (answer, is_read_only(shop.alias), any(blocks)) == (True, False, False)


# -- while the site is at work


@pytest.mark.parametrize("persistent", [True, False], ids=["kept connections", "connection per request"])
def test_no_read_fails_and_no_write_lands_late(shop: Scratch, persistent: bool) -> None:
    with clients(shop, persistent=persistent) as met:
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


@pytest.mark.parametrize("persistent", [True, False], ids=["kept connections", "connection per request"])
def test_no_read_fails_where_sessions_in_use_are_ended(shop: Scratch, persistent: bool) -> None:
    """Without a grace sessions are ended as the pool hands them out to processes that have not asked yet."""
    with clients(shop, persistent=persistent, in_blocks=False) as met:
        wait_for(lambda: len(met.acknowledged) > 0)
        throw_on(shop, grace=0)
        wait_for(lambda: is_read_only(shop.alias))
    assert [failure for failure in met.failures if failure.startswith("read")] == []
