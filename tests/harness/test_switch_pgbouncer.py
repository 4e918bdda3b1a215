"""The switch thrown while the site goes through PgBouncer in transaction pooling: drained, proved, undone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.test import override_settings

from readonly_router import DrainError, ReadOnlyError, writable
from readonly_router.following import followers
from readonly_router.switch import catalog
from tests import database
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.harness.pools import end_pool, lead_through, pool_size, pooled, session, tell_anew
from tests.harness.switches import (
    make_switchable,
    names,
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


@pytest.fixture
def shop(site: Scratch, bouncer: str) -> Iterator[Scratch]:
    """The site with both of its logins behind PgBouncer; writable and with new pools after each test."""
    lead_through(site, bouncer)
    yield site
    connections.close_all()
    throw_off(site, grace=0)
    for user in (site.writer, site.twin):
        end_pool(site, user)
    tell_anew(site, bouncer)
    followers.forget()


def alone(pair: Scratch) -> override_settings:
    """Make it the only pair: `exec` acts on every one."""
    return override_settings(READONLY_ROUTER_PAIRS={pair.alias: pair.twin_alias})


def insert(connection: psycopg.Connection[Any], name: str) -> None:
    """Write as a program that never heard of the switch."""
    connection.execute("INSERT INTO shop_tag (name) VALUES (%s)", [name])


# -- the command needs a direct login


@pytest.mark.parametrize("arguments", [["on"], ["on", "--dry-run"], ["off"], ["exec", "check"]], ids=" ".join)
def test_the_command_refuses_to_go_through_the_pooler_in_one_line(shop: Scratch, arguments: list[str]) -> None:
    with alone(shop):
        outcome = read_only(shop, *arguments)
    assert (outcome.status, outcome.err.count("\n"), spelt(shop)) == (1, 1, [])
    assert "--admin-url (or DATABASE_ADMIN_URL)" in outcome.err


def test_verify_refuses_to_go_through_the_pooler_in_one_line(shop: Scratch) -> None:
    throw_on(shop)
    outcome = read_only(shop, "verify")
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "--admin-url (or DATABASE_ADMIN_URL)" in outcome.err


def test_the_environment_names_the_direct_login(shop: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_ADMIN_URL", shop.url(shop.writer))
    statuses = [read_only(shop, *verb.split()).status for verb in ("on", "status --exit-code", "off")]
    assert statuses == [0, 1, 0]


def test_status_answers_through_the_pooler(shop: Scratch) -> None:
    before = read_only(shop, "status", "--exit-code").status
    throw_on(shop, reason="moving")
    after = read_only(shop, "status", "--exit-code")
    assert (before, after.status, "reason: moving" in after.out) == (0, 1, True)


def test_status_sets_nothing_in_the_sessions_it_is_handed(shop: Scratch, bouncer: str) -> None:
    before = session(shop, bouncer, shop.writer)
    read_only(shop, "status")
    assert session(shop, bouncer, shop.writer) == before


# -- on: the sessions of the pool are drained


def test_an_idle_session_of_the_pool_is_replaced_without_an_error(shop: Scratch, bouncer: str) -> None:
    before = session(shop, bouncer, shop.writer)
    with pooled(shop, bouncer, shop.writer) as client:
        assert value(client, "SELECT pg_backend_pid()") == before[0]
        receipt = throw_on(shop)
        after = client.execute(f"SELECT pg_backend_pid(), current_setting('{SETTING}')".encode()).fetchone()
    assert (receipt.ended, after and after[0] != before[0], after and after[1]) == (1, True, "on")


def test_a_transaction_through_the_pool_is_waited_for(shop: Scratch, bouncer: str) -> None:
    with pooled(shop, bouncer, shop.writer) as client, ThreadPoolExecutor(1) as threads:
        with client.transaction():
            insert(client, "in time")
            command = threads.submit(throw_on, shop)
            wait_for(lambda: command.done() or spelt(shop) != [])
            assert not command.done()
        receipt = command.result()
        assert value(client, f"SHOW {SETTING}") == "on"
    assert ("in time" in names(shop), verified(shop, receipt)) == (True, True)


def test_a_transaction_through_the_pool_that_holds_out_undoes_the_switch(shop: Scratch, bouncer: str) -> None:
    with pooled(shop, bouncer, shop.writer) as client, pooled(shop, bouncer, shop.writer) as other:
        with client.transaction():
            insert(client, "held out")
            with ThreadPoolExecutor(1) as threads, pytest.raises(DrainError):
                command = threads.submit(throw_on, shop, deadline=2)
                # Its one session from before is held, so the pool opens another, which must not stay read-only.
                # The command has one too, which writes the events.
                wait_for(lambda: command.done() or (spelt(shop) != [] and pool_size(shop, shop.writer) == 2))
                assert value(other, f"SHOW {SETTING}") == "on"
                command.result()
        insert(other, "afterwards")
    assert {"held out", "afterwards"} <= names(shop)


def test_the_writers_own_direct_login_is_enough(shop: Scratch, bouncer: str) -> None:
    session(shop, bouncer, shop.writer)
    assert throw_on(shop, shop.writer).ended == 1


# -- on: nothing lands any more


def test_a_program_that_never_heard_of_the_switch_cannot_write(shop: Scratch, bouncer: str) -> None:
    with pooled(shop, bouncer, shop.writer) as client:
        insert(client, "before")
        receipt = throw_on(shop)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            insert(client, "program")
    assert ("program" in names(shop), verified(shop, receipt)) == (False, True)


def test_a_process_that_has_not_asked_yet_is_refused_and_told_so(
    shop: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(shop, "asked just now")
    monkeypatch.setattr(followers.of(shop.alias), "ask_seconds", 3600.0)
    throw_on(shop)
    with pytest.raises(ReadOnlyError) as refusal:
        write(shop, "not asked yet")
    assert (refusal.value.sqlstate, refusal.value.alias) == ("25006", shop.alias)
    assert "not asked yet" not in names(shop)


def test_a_write_after_following_is_refused_by_the_twin(shop: Scratch) -> None:
    throw_on(shop)
    wait_until_followed(shop, on=True)
    with pytest.raises(ReadOnlyError) as refusal:
        write(shop, "by the twin")
    assert (refusal.value.alias, "by the twin" in names(shop)) == (shop.twin_alias, False)


# -- writable() and exec write through no pooler


def test_writable_is_refused_through_the_pooler(shop: Scratch) -> None:
    throw_on(shop)
    with writable(), pytest.raises(ReadOnlyError) as refusal:
        write(shop, "through")
    assert (refusal.value.sqlstate, "through" in names(shop)) == ("25006", False)


def test_writable_leaves_no_writable_session_to_the_pools_clients(shop: Scratch, bouncer: str) -> None:
    throw_on(shop)
    with writable(), pytest.raises(ReadOnlyError):
        write(shop, "through")
    connections.close_all()
    locks = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    with shop.superuser() as superuser:
        held = value(superuser, f"{locks} WHERE locktype = 'advisory' AND usename = %s", shop.writer)
    assert (session(shop, bouncer, shop.writer)[3], pool_size(shop, shop.writer), held) == ("on", 1, 0)


def test_exec_is_refused_through_the_pooler_and_recorded(shop: Scratch, bouncer: str) -> None:
    throw_on(shop)
    tag = "from tests.example.shop.models import Tag; Tag.objects.using('scratch').create(name='exec')"
    with alone(shop):
        outcome = read_only(shop, "exec", "--admin-url", shop.admin_url, "--", "shell", "--verbosity=0", "-c", tag)
    with shop.superuser() as superuser:
        status = value(superuser, "SELECT details->>'status' FROM readonly_router_event ORDER BY id DESC LIMIT 1")
    assert (outcome.status, status, "exec" in names(shop)) == (1, "1", False)
    assert session(shop, bouncer, shop.writer)[3] == "on"


# -- off: the sessions of the pool that began read-only are renewed


def test_sessions_of_the_pool_that_began_read_only_are_renewed(shop: Scratch, bouncer: str) -> None:
    throw_on(shop)
    with pooled(shop, bouncer, shop.writer) as client:
        assert value(client, f"SHOW {SETTING}") == "on"
        throw_off(shop)
        insert(client, "renewed")
    assert "renewed" in names(shop)


def test_a_session_of_the_pool_that_reads_meanwhile_is_renewed_after_it(shop: Scratch, bouncer: str) -> None:
    throw_on(shop)
    with pooled(shop, bouncer, shop.writer) as client, ThreadPoolExecutor(1) as threads:
        with client.transaction():
            client.execute("SELECT 1")
            command = threads.submit(throw_off, shop, grace=20)
            wait_for(lambda: command.done() or spelt(shop) == [])
            assert not command.done()
        command.result()
        insert(client, "after reading")
    assert "after reading" in names(shop)


def test_a_session_that_logs_in_while_off_is_thrown_does_not_stay_read_only(shop: Scratch) -> None:
    """As a pooler opens them: past its settings, which it read before they were reset, and not shown yet."""
    throw_on(shop)
    with ThreadPoolExecutor(1) as threads, shop.superuser() as superuser:
        opening = threads.submit(shop.login, shop.writer, options="-c post_auth_delay=2")
        wait_for(lambda: catalog.starting(superuser) != ())
        throw_off(shop, grace=20)
        with opening.result() as opened, pytest.raises(psycopg.OperationalError):
            opened.execute("SELECT 1")


def test_the_process_writes_again(shop: Scratch) -> None:
    throw_on(shop)
    wait_until_followed(shop, on=True)
    throw_off(shop)
    wait_until_followed(shop, on=False)
    write(shop, "again")
    assert "again" in names(shop)
