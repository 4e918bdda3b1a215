"""An application that listens on its session, and waits for the socket: what came in is there for it to read."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from readonly_router import is_read_only
from readonly_router.connections import handler as resolution
from readonly_router.following import followers
from readonly_router.following.watch import watch_of
from tests.harness.pairs import wait_for
from tests.switch.follower import (
    NEVER,
    flipped,
    following_anew,
    listen,
    met_on,
    off,
    questions,
    sent_on,
    session,
    wait_until_writable,
)


@pytest.fixture(autouse=True)
def follower(shop: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with following_anew():
        monkeypatch.setattr(followers.of("default"), "look_seconds", 0.0)
        yield


def first_of_all(_: pytest.MonkeyPatch) -> psycopg.Connection[Any]:
    served = session()
    served.execute("LISTEN prices")
    return served


def before_ours(monkeypatch: pytest.MonkeyPatch) -> psycopg.Connection[Any]:
    served = first_of_all(monkeypatch)
    monkeypatch.setattr(followers.of("default"), "ask_seconds", 0.0)
    wait_for(lambda: is_read_only() or watch_of(served).pushed is not None)
    return served


def after_ours(monkeypatch: pytest.MonkeyPatch) -> psycopg.Connection[Any]:
    served = listen(monkeypatch)
    served.execute("LISTEN prices")
    return served


def through_django(monkeypatch: pytest.MonkeyPatch) -> psycopg.Connection[Any]:
    served = listen(monkeypatch)
    with connection.cursor() as cursor:
        cursor.execute("LISTEN prices")
    return served


Listens = Callable[[pytest.MonkeyPatch], psycopg.Connection[Any]]
anyhow = pytest.mark.parametrize("listens", [first_of_all, before_ours, after_ours, through_django])


def arrived(served: psycopg.Connection[Any]) -> list[Any]:
    """Return the sockets that have something to read, as an application's loop asks for them."""
    return select.select([served], [], [], 0)[0]


def waiting(served: psycopg.Connection[Any], superuser: psycopg.Connection[Any]) -> None:
    """Have a notification of the application's wait on its socket."""
    superuser.execute("NOTIFY prices, 'up'")
    wait_for(lambda: arrived(served) == [served])


@anyhow
def test_a_loop_that_waits_for_the_socket_is_woken(
    monkeypatch: pytest.MonkeyPatch, superuser: psycopg.Connection[Any], listens: Listens
) -> None:
    served = listens(monkeypatch)
    if listens is after_ours and served.pgconn.ssl_in_use:
        pytest.skip("encrypted, what came in first cannot be told from news of the switch")
    waiting(served, superuser)
    for _ in range(3):
        assert (session() is served, is_read_only()) == (True, False)
    assert arrived(served) == [served]
    assert [news.payload for news in served.notifies(timeout=0.1)] == ["up"]


@anyhow
def test_nothing_is_asked_on_it_in_normal_mode(monkeypatch: pytest.MonkeyPatch, listens: Listens) -> None:
    served = listens(monkeypatch)
    is_read_only()
    monkeypatch.setattr(followers.of("default"), "ask_seconds", 0.0)
    session()  # the one question of its life, where it was not asked yet
    with sent_on(served) as sent:
        for _ in range(3):
            session()
    assert questions(sent) == 0


def test_its_loop_is_not_woken_by_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    served = before_ours(monkeypatch)
    flipped()
    assert list(served.notifies(timeout=0.2)) == []


@anyhow
def test_a_session_that_was_ended_is_replaced_though_news_of_the_application_wait_on_it(
    monkeypatch: pytest.MonkeyPatch, superuser: psycopg.Connection[Any], listens: Listens
) -> None:
    served = listens(monkeypatch)
    waiting(served, superuser)
    resolution.begin_request()
    assert session() is served
    superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [served.info.backend_pid])
    wait_for(lambda: session() is not served)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_the_twins_session_that_is_listened_on_meets_off(
    monkeypatch: pytest.MonkeyPatch, superuser: psycopg.Connection[Any]
) -> None:
    met_on()
    monkeypatch.setattr(followers.of("default"), "ask_seconds", 0.0)
    served = session()
    served.execute("LISTEN prices")
    waiting(served, superuser)
    session()
    assert [news.payload for news in served.notifies(timeout=0.1) if news.channel == "prices"] == ["up"]
    off()
    wait_until_writable()


def test_news_of_the_switch_are_read_though_the_application_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers.of("default"), "renew_seconds", NEVER)
    met_on()
    after_ours(monkeypatch)
    off()
    wait_until_writable()
