"""Processes in circumstances of their own: with a pool filled early, stopped meanwhile, told not to follow."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from readonly_router.switch import catalog
from tests.example.probes import Told
from tests.harness.pairs import wait_for
from tests.switch.fleet import Member, command, gunicorn, running, site_env
from tests.switch.follower import following_anew, login, off, on, on_at_once

POOL_SIZE = 4


@pytest.fixture(autouse=True)
def follower(shop: None) -> Iterator[None]:
    with following_anew():
        yield


def sessions(superuser: psycopg.Connection[Any], alias: str = "default") -> int:
    """Count a login's sessions."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND datname = current_database()"
    return int((superuser.execute(query, [login(alias)]).fetchone() or (0,))[0])


def outcomes(answers: list[Told]) -> set[str]:
    return {str(told["outcome"]) for told in answers}


# -- pools


@pytest.fixture
def pooled(superuser: psycopg.Connection[Any]) -> Iterator[Member]:
    """A process whose pool has opened sessions that nobody used yet."""
    with running(command("--tidy", EXAMPLE_POOL="1", EXAMPLE_POOL_MIN=str(POOL_SIZE)), site_env()) as member:
        assert member.outcome("write", "before") == "done"
        wait_for(lambda: sessions(superuser) == POOL_SIZE)
        yield member


def test_no_session_of_a_pool_fails_a_read_after_on(pooled: Member) -> None:
    assert on().ended == POOL_SIZE
    answers = [pooled.one("read") for _ in range(2 * POOL_SIZE)]
    assert (outcomes(answers), {told["user"] for told in answers}) == ({"done"}, {login("readonly")})


def test_no_session_of_a_pool_fails_a_read_or_a_write_after_off(
    pooled: Member, superuser: psycopg.Connection[Any]
) -> None:
    on_at_once()
    assert pooled.outcome("write", "refused") == "refused"
    # The pool fills up again with sessions that begin read-only.
    wait_for(lambda: sessions(superuser) == POOL_SIZE)
    off()
    reads = [pooled.one("read") for _ in range(2 * POOL_SIZE)]
    wait_for(lambda: pooled.outcome("write", "after off") != "refused")
    writes = [pooled.one("write", f"after off {number}") for number in range(2 * POOL_SIZE)]
    assert (outcomes(reads), outcomes(writes)) == ({"done"}, {"done"})


def test_a_session_made_writable_is_never_given_back_to_a_pool(
    pooled: Member, superuser: psycopg.Connection[Any]
) -> None:
    on_at_once()
    through = [pooled.outcome("through", f"through {number}") for number in range(POOL_SIZE + 1)]
    wait_for(lambda: not catalog.writing_through(superuser))
    refused = [pooled.outcome("write", "refused") for _ in range(POOL_SIZE + 1)]
    assert (set(through), set(refused)) == ({"done"}, {"refused"})


# -- stopped


@contextmanager
def stopped(member: Member) -> Iterator[None]:
    member.send(signal.SIGSTOP)
    try:
        yield
    finally:
        member.send(signal.SIGCONT)


STOPPED = {
    "command": command("--tidy", EXAMPLE_CONN_MAX_AGE="None"),
    "pool": command("--tidy", EXAMPLE_POOL="1"),
    "gunicorn": gunicorn("--worker-class=gthread", "--threads=1", EXAMPLE_CONN_MAX_AGE="None"),
}


@pytest.fixture(params=STOPPED)
def stoppable(request: pytest.FixtureRequest) -> Iterator[Member]:
    with running(STOPPED[request.param], site_env()) as member:
        yield member


def test_a_process_that_was_stopped_follows_as_it_goes_on(stoppable: Member) -> None:
    assert stoppable.outcome("write", "before") == "done"
    with stopped(stoppable):
        assert on().ended == 1
    after_on = [stoppable.outcome(task, "refused") for task in ("write", "read")]
    with stopped(stoppable):
        off()
    reads = [stoppable.one("read") for _ in range(3)]
    wait_for(lambda: stoppable.outcome("write", "after off") == "done")
    assert (after_on, outcomes(reads)) == (["refused", "done"], {"done"})


def test_a_process_that_was_stopped_through_on_and_off_missed_nothing(stoppable: Member) -> None:
    assert stoppable.outcome("write", "before") == "done"
    with stopped(stoppable):
        on_at_once()
        off()
    after = [stoppable.outcome(task, "after") for task in ("read", "write")]
    assert (after, stoppable.one("heard")["changes"]) == (["done", "done"], [])


# -- told not to follow


@pytest.mark.parametrize("value", ["1", "locked"])
def test_a_process_that_was_started_read_only_follows_neither_on_nor_off(value: str) -> None:
    with running(command(DB_READ_ONLY=value), site_env()) as member:
        found = []
        for switch in (lambda: None, on_at_once, off):
            switch()
            found.append(
                (member.outcome("write", "refused"), member.outcome("read"), member.one("status")["source"])
            )
        assert (found, member.one("heard")["changes"]) == ([("refused", "done", "process")] * 3, [])


def test_zero_in_the_environment_does_not_override_the_switch() -> None:
    with running(command("--tidy", DB_READ_ONLY="0"), site_env()) as member:
        before = member.outcome("write", "before")
        on_at_once()
        assert (before, member.outcome("write", "refused")) == ("done", "refused")
