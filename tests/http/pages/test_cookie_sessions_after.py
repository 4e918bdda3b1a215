"""Sessions in signed cookies when their window has ended: taken into the store, once, and nobody's in the next."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.test import AsyncClient, override_settings

from readonly_router import ReadOnlyError, disable_writes, enable_writes, read_only
from tests.http.pages.engines import (
    COOKIES,
    NAME,
    browser,
    copy_of,
    seen,
    session_cookie,
    sessions_of,
    sign_in,
    signed_in,
    signed_in_now,
    store,
    user_of,
)

pytestmark = pytest.mark.usefixtures("cookies")


def test_a_session_is_taken_into_the_store(cookies: dict[str, str]) -> None:
    disable_writes()
    client = signed_in_now()
    seen(client)
    enable_writes()

    assert (user_of(client), seen(client)) == ("customer", 2)
    key = session_cookie(client)
    assert not key.startswith("ro:")
    assert store(key).load()["seen"] == 2


def test_a_session_is_taken_in_by_the_asynchronous_handler() -> None:
    disable_writes()
    client = signed_in_now()
    enable_writes()

    async def ask() -> Any:
        other = AsyncClient()
        other.cookies[NAME] = session_cookie(client)
        found = [(await other.get("/asession/")).json() for _ in range(2)]
        return found, other.cookies[NAME].value.startswith("ro:")

    assert async_to_sync(ask)() == ([{"user": "customer", "seen": 1}, {"user": "customer", "seen": 2}], False)


def test_a_session_is_taken_in_once() -> None:
    disable_writes()
    client = signed_in_now()
    copies = [copy_of(client) for _ in range(3)]
    enable_writes()

    assert [user_of(each) for each in (client, *copies)] == ["customer"] * 4
    assert len({session_cookie(each) for each in (client, *copies)}) == 1


def test_what_the_store_came_to_hold_is_not_taken_back_by_the_cookie() -> None:
    disable_writes()
    client = signed_in_now()
    seen(client)
    late = copy_of(client)
    enable_writes()
    seen(client)
    seen(client)

    assert seen(late) == 4


def test_the_session_it_began_from_is_gone_from_the_store() -> None:
    client = signed_in()
    before = copy_of(client)
    disable_writes()
    seen(client)
    enable_writes()

    assert user_of(client) == "customer"
    assert user_of(before) == ""


def test_a_session_that_was_signed_out_after_the_window_is_not_taken_in_again() -> None:
    disable_writes()
    client = signed_in_now()
    thief, second, third = copy_of(client), copy_of(client), copy_of(client)
    enable_writes()
    assert user_of(client) == "customer"
    client.post("/accounts/logout/")
    # What a cache forgets, the store knows.
    if "cache" not in str(store().__mro__[2].__module__):
        cache.clear()

    assert user_of(thief) == ""
    # Nor does anybody get a session that another copy has begun in its place.
    assert (seen(second), seen(third)) == (1, 1)


def test_a_session_that_is_signed_out_first_thing_after_the_window_is_not_taken_in() -> None:
    disable_writes()
    client = signed_in_now()
    thief = copy_of(client)
    enable_writes()
    session = store(session_cookie(client))
    session.flush()

    assert user_of(thief) == ""


def test_a_session_that_was_signed_out_in_the_window_is_not_taken_in() -> None:
    disable_writes()
    client = signed_in_now()
    thief = copy_of(client)
    client.post("/accounts/logout/")
    enable_writes()

    assert user_of(thief) == ""


def test_a_session_that_was_signed_out_in_the_window_is_gone_from_the_store() -> None:
    client = signed_in()
    thief, another = copy_of(client), copy_of(client)
    disable_writes()
    client.post("/accounts/logout/")
    enable_writes()
    assert user_of(thief) == ""
    cache.clear()

    assert user_of(another) == ""


def test_a_session_is_not_taken_in_later_than_a_day_after(monkeypatch: pytest.MonkeyPatch) -> None:
    disable_writes()
    client = signed_in_now()
    enable_writes()
    late = time.time() + 24 * 3600 + 5
    monkeypatch.setattr(time, "time", lambda: late)

    assert user_of(client) == ""


def test_a_session_is_not_taken_in_once_it_has_expired() -> None:
    disable_writes()
    client = signed_in_now()
    client.get("/expiring/?seconds=-1")
    enable_writes()

    assert user_of(client) == ""


def test_two_requests_at_once_take_a_session_in_once(monkeypatch: pytest.MonkeyPatch) -> None:
    disable_writes()
    client = signed_in_now()
    late = copy_of(client)
    enable_writes()
    assert user_of(client) == "customer"
    # The other one had looked before this one stored it.
    with monkeypatch.context() as patched:
        patched.setattr(store().__mro__[2], "exists", lambda self, key: False)
        assert user_of(late) == "customer"

    assert session_cookie(late) == session_cookie(client)


def test_a_session_of_normal_mode_is_stored_as_ever() -> None:
    client = browser()
    sign_in(client)

    key = session_cookie(client)
    assert len(key) == 32
    assert user_of(client) == "customer"
    client.post("/accounts/logout/")
    assert user_of(client) == ""


def test_sessions_of_before_our_engine_are_read() -> None:
    # How Django signs what it stores depends on the name of the engine's class.
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.db"):
        client = signed_in()
    with sessions_of(COOKIES["ours over db"]):
        assert user_of(client) == "customer"


def test_a_session_outside_of_requests_is_kept_in_a_cookie_too() -> None:
    with read_only():
        session = store()()
        session["seen"] = 5
        session.save()
    again = store(session.session_key)

    assert session.session_key.startswith("ro:")
    assert again["seen"] == 5


def test_a_session_that_was_opened_in_the_window_is_stored_after_it() -> None:
    with read_only():
        session = store()()
        session["seen"] = 5
        session.save()
    session["seen"] = 6
    session.save()

    assert not session.session_key.startswith("ro:")
    assert store(session.session_key)["seen"] == 6


def test_expired_sessions_can_be_cleared_in_normal_mode_alone(cookies: dict[str, str]) -> None:
    store().clear_expired()
    disable_writes()
    if cookies["READONLY_ROUTER_SESSION_STORE"].endswith(".cache"):
        store().clear_expired()
    else:
        with pytest.raises(ReadOnlyError):
            store().clear_expired()


# Windows of the switch.


def test_a_cookie_of_one_window_is_nobodys_in_the_next(switching: Callable[..., Any]) -> None:
    with switching():
        client = signed_in_now()
        assert user_of(client) == "customer"
        late = copy_of(client)
    with switching():
        assert user_of(late) == ""


def test_a_cookie_of_a_window_is_taken_in_after_it(switching: Callable[..., Any]) -> None:
    with switching():
        client = signed_in_now()

    assert user_of(client) == "customer"
    assert not session_cookie(client).startswith("ro:")


def test_a_session_that_was_taken_in_lasts_through_the_next_window(switching: Callable[..., Any]) -> None:
    with switching():
        client = signed_in_now()
    user_of(client)
    with switching():
        assert user_of(client) == "customer"
