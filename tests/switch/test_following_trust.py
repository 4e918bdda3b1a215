"""What another login may tell a process: a flood of NOTIFY costs little, and a twin's own mark is no switch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connections

from readonly_router import ConfigurationError, is_read_only
from readonly_router.following import followers
from readonly_router.following.watch import watch_of
from readonly_router.mark import MARKS, SETTING
from readonly_router.switch.off import switch_off
from readonly_router.switch.on import switch_on
from tests.database import Scratch, entry
from tests.harness.pairs import wait_for
from tests.switch.follower import NEVER, questions, sent_on

ALIAS = "scratch"


@pytest.fixture(autouse=True)
def follower(pair: Scratch) -> Iterator[None]:
    followers.forget()
    yield
    connections.close_all()


def write() -> None:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("INSERT INTO note (text) VALUES ('written')")


# -- a flood of NOTIFY


@pytest.fixture
def listening(pair: Scratch, monkeypatch: pytest.MonkeyPatch) -> psycopg.Connection:
    """Return the writer's session, which listens; nothing is asked by age."""
    monkeypatch.setattr(followers.of(ALIAS), "ask_seconds", 0.0)
    monkeypatch.setattr(followers.of(ALIAS), "look_seconds", 0.0)
    write()
    is_read_only(ALIAS)
    is_read_only(ALIAS)
    served: psycopg.Connection = connections[ALIAS].connection
    assert watch_of(served).pushed
    monkeypatch.setattr(followers.of(ALIAS), "ask_seconds", NEVER)
    return served


@contextmanager
def stranger(pair: Scratch) -> Iterator[psycopg.Connection]:
    with pair.login(pair.role("stranger")) as connection:
        yield connection


def notify(connection: psycopg.Connection, count: int) -> None:
    connection.execute("SELECT pg_notify('readonly_router', i::text) FROM generate_series(1, %s) i", [count])


def test_a_flood_of_notify_costs_one_question_an_interval(pair: Scratch, listening: psycopg.Connection) -> None:
    rounds, began = 100, time.monotonic()
    with stranger(pair) as flood, sent_on(listening) as sent:
        for _ in range(rounds):
            notify(flood, 50)
            is_read_only(ALIAS)
        wait_for(lambda: not is_read_only(ALIAS) and questions(sent) > 0)
    intervals = (time.monotonic() - began) / followers.NEWS_SECONDS
    assert questions(sent) <= intervals + 1 < rounds


def test_the_first_news_is_asked_for_at_once(
    pair: Scratch, listening: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers.of(ALIAS), "news_seconds", NEVER)
    with stranger(pair) as somebody, sent_on(listening) as sent:
        notify(somebody, 1)
        wait_for(lambda: not is_read_only(ALIAS) and questions(sent) == 1)


def test_news_within_a_flood_is_heard(pair: Scratch, listening: psycopg.Connection) -> None:
    with stranger(pair) as flood:
        notify(flood, 3000)
        is_read_only(ALIAS)
        with pair.superuser() as superuser:
            superuser.execute(
                f"""ALTER ROLE "{pair.writer}" IN DATABASE "{pair.name}" SET {SETTING} = '{MARKS[0]}'""".encode()
            )
        notify(flood, 3000)
        wait_for(lambda: is_read_only(ALIAS))


# -- a writer whose name stands in the environment


@pytest.fixture
def by_environment(pair: Scratch, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The writer's login comes from PGUSER, and not from DATABASES."""
    monkeypatch.setenv("PGUSER", pair.writer)
    with entry(ALIAS, USER=""):
        yield


def mark_itself(pair: Scratch) -> None:
    """Have the twin give itself what the switch gives to writers."""
    setting = f"""ALTER ROLE "{pair.twin}" IN DATABASE "{pair.name}" SET {SETTING} = '{MARKS[0]}'"""
    pair.run(f"SET {SETTING} = off", setting, "NOTIFY readonly_router", user=pair.twin)


@pytest.mark.usefixtures("by_environment")
def test_the_mark_that_a_twin_gave_itself_is_no_switch(pair: Scratch) -> None:
    mark_itself(pair)
    write()
    assert not is_read_only(ALIAS)
    connections["scratch_twin"].ensure_connection()
    assert not followers.of(ALIAS).ask(connections["scratch_twin"].connection).read_only


@pytest.mark.usefixtures("by_environment")
def test_the_mark_of_a_twin_is_no_switch_before_the_writer_was_met(pair: Scratch) -> None:
    mark_itself(pair)
    connections["scratch_twin"].ensure_connection()
    assert not is_read_only(ALIAS)
    assert followers.of(ALIAS).login == pair.writer


@pytest.mark.usefixtures("by_environment")
def test_the_switch_is_followed_by_the_name_in_the_environment(pair: Scratch) -> None:
    mark_itself(pair)
    switch_on(ALIAS, grace=0)
    connections[ALIAS].ensure_connection()
    assert is_read_only(ALIAS)
    switch_off(ALIAS, grace=0)
    wait_for(lambda: not is_read_only(ALIAS))
    write()


@pytest.mark.usefixtures("by_environment")
def test_a_twin_of_the_name_in_the_environment_is_the_writer(pair: Scratch) -> None:
    with entry("scratch_twin", USER=pair.writer), pytest.raises(ConfigurationError, match="as the writer"):
        connections["scratch_twin"].ensure_connection()


def test_where_a_service_names_the_writer_a_twins_own_mark_does_not_count(pair: Scratch) -> None:
    mark_itself(pair)
    connections["scratch_twin"].ensure_connection()
    with entry(ALIAS, USER="", OPTIONS={"service": "site"}):
        assert followers.of(ALIAS).login == ""
        assert not followers.of(ALIAS).ask(connections["scratch_twin"].connection).read_only
