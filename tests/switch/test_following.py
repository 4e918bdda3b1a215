"""How the news of the switch reaches a process: pushed to an open session, told to a new one, or asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connections

from readonly_router import ReadOnlyError, get_status, is_read_only
from readonly_router.following import followers
from tests.example.shop.models import Tag
from tests.harness.pairs import wait_for
from tests.switch.follower import (
    NEVER,
    following_anew,
    listen,
    met_on,
    off,
    on,
    on_at_once,
    questions,
    sent_on,
    sent_on_new,
    served_by,
    session,
    thrown,
    wait_until_writable,
)

# Longer than any test: nobody is ended by the drain, each leaves by itself.
PATIENT = {"grace": 60, "deadline": 60}


@pytest.fixture(autouse=True)
def follower(shop: None) -> Iterator[None]:
    with following_anew():
        yield


@pytest.fixture
def asking(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not listen, and looks whenever it can."""
    settings.READONLY_ROUTER_LISTEN = False
    monkeypatch.setattr(followers.of("default"), "look_seconds", 0.0)


def look_often() -> None:
    for _ in range(100):
        is_read_only()
        get_status()
        connections["default"]


# -- pushed


def test_a_listening_session_is_told_of_on_and_left_before_it_is_drained(monkeypatch: pytest.MonkeyPatch) -> None:
    listen(monkeypatch)
    with thrown(on, **PATIENT) as command:
        wait_for(is_read_only)
    assert command.result().ended == 0


def test_a_listening_session_is_told_of_off(monkeypatch: pytest.MonkeyPatch) -> None:
    met_on()
    listen(monkeypatch)
    off()
    wait_until_writable()
    Tag.objects.create(name="told of off")


def test_listen_is_sent_once_in_a_sessions_life(monkeypatch: pytest.MonkeyPatch) -> None:
    with sent_on(session()) as sent:
        listen(monkeypatch)
        for _ in range(10):
            is_read_only()
    assert [statement for statement in sent if "LISTEN" in statement] == ["LISTEN readonly_router"]


@pytest.mark.parametrize("switch", [off, met_on], ids=["normal mode", "read-only mode"])
def test_a_listening_session_is_asked_nothing_by_looking_at_the_mode(
    monkeypatch: pytest.MonkeyPatch, switch: Callable[[], None]
) -> None:
    switch()
    with sent_on(listen(monkeypatch)) as sent:
        look_often()
    assert sent == []


def test_notifications_of_other_channels_reach_the_application(
    monkeypatch: pytest.MonkeyPatch, superuser: psycopg.Connection[Any]
) -> None:
    heard: list[str] = []
    served = listen(monkeypatch)
    served.add_notify_handler(lambda notification: heard.append(notification.payload))
    served.execute("LISTEN prices")
    superuser.execute("NOTIFY prices, 'up'")
    is_read_only()
    served.execute("SELECT 1")
    assert heard == ["up"]


def test_the_application_is_not_told_of_the_switchs_own_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    met_on()
    listen(monkeypatch).add_notify_handler(lambda notification: heard.append(notification.channel))
    off()
    wait_until_writable()
    assert heard == []


@pytest.mark.skipif(
    tuple(map(int, psycopg.__version__.split(".")[:3])) < (3, 2, 4),
    reason="notifies() of older ones keeps what it reads from the handlers of notifications",
)
def test_an_application_that_waits_for_notifications_still_follows(
    monkeypatch: pytest.MonkeyPatch, superuser: psycopg.Connection[Any]
) -> None:
    met_on()
    served = listen(monkeypatch)
    served.execute("LISTEN prices")
    with thrown(off):
        assert next(served.notifies(timeout=30)).channel == "readonly_router"
    superuser.execute("NOTIFY prices, 'up'")
    assert next(served.notifies(timeout=30)).payload == "up"
    wait_until_writable()


# -- told as a session begins


def test_a_new_session_is_told_of_on_and_the_twin_serves() -> None:
    on_at_once()
    assert served_by() == "readonly"
    with pytest.raises(ReadOnlyError):
        Tag.objects.create(name="refused")


def test_a_new_session_is_told_of_off(monkeypatch: pytest.MonkeyPatch) -> None:
    on_at_once()
    off()
    monkeypatch.setattr(followers.of("default"), "ask_seconds", NEVER)
    assert served_by() == "default"


def test_a_new_session_is_asked_nothing_in_normal_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    session()  # the first of a process tells whether a pooler is in between
    connections.close_all()
    monkeypatch.setattr(followers.of("default"), "ask_seconds", NEVER)
    with sent_on_new() as sent:
        Tag.objects.count()
        get_status()
    assert questions(sent) == 0


def test_sessions_of_requests_follow_on_and_off_and_on() -> None:
    for switch, serves in ((on_at_once, "readonly"), (off, "default"), (on_at_once, "readonly")):
        switch()
        connections.close_all()
        wait_for(lambda serves=serves: served_by() == serves)


# -- asked for


@pytest.mark.usefixtures("asking")
def test_a_process_that_does_not_listen_meets_on_by_asking() -> None:
    session()
    with thrown(on, **PATIENT) as command:
        wait_for(is_read_only)
    assert command.result().ended == 0


@pytest.mark.usefixtures("asking")
def test_a_process_that_does_not_listen_meets_off_by_asking() -> None:
    met_on()
    off()
    wait_until_writable()
    Tag.objects.create(name="asked for off")


@pytest.mark.usefixtures("asking")
@pytest.mark.parametrize("switch", [off, met_on], ids=["normal mode", "read-only mode"])
def test_a_process_that_does_not_listen_asks_once_and_then_when_the_answer_is_old(
    monkeypatch: pytest.MonkeyPatch, switch: Callable[[], None]
) -> None:
    switch()
    with sent_on(session()) as sent:
        monkeypatch.setattr(followers.of("default"), "ask_seconds", NEVER)
        look_often()
        asked_early = questions(sent)
        monkeypatch.setattr(followers.of("default"), "ask_seconds", 0.0)
        is_read_only()
        monkeypatch.setattr(followers.of("default"), "ask_seconds", NEVER)
        look_often()
    assert (asked_early, questions(sent)) == (0, 1)


@pytest.mark.usefixtures("asking")
def test_a_process_that_does_not_listen_sends_no_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers.of("default"), "ask_seconds", 0.0)
    with sent_on(session()) as sent:
        look_often()
    assert (questions(sent) > 1, [statement for statement in sent if "LISTEN" in statement]) == (True, [])


def test_a_listen_that_the_application_ended_keeps_no_process_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    met_on()
    served = listen(monkeypatch)
    served.execute("DISCARD ALL")
    off()
    assert is_read_only()
    monkeypatch.setattr(followers.of("default"), "renew_seconds", 0.0)
    assert not is_read_only()
