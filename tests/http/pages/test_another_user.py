"""A browser that goes on after a sign-out in the window: as another user, or with what was said on leaving."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.sessions.serializers import JSONSerializer
from django.core import signing
from django.test import AsyncClient

from readonly_router import disable_writes, enable_writes
from readonly_router.sessions import cookies
from tests.http.pages.engines import (
    COOKIES,
    NAME,
    browser,
    copy_of,
    session_cookie,
    sessions_of,
    sign_in,
    signed_in,
    store,
    user_of,
)


@pytest.fixture(params=COOKIES.values(), ids=list(COOKIES), autouse=True)
def engine(request: pytest.FixtureRequest, pages: None) -> Iterator[dict[str, str]]:
    """Our engine over each store; messages are kept in sessions."""
    with sessions_of(request.param, MESSAGE_STORAGE="django.contrib.messages.storage.session.SessionStorage"):
        yield request.param


def signed_in_now() -> Any:
    """Return a browser that signed in during the window."""
    disable_writes()
    client = browser()
    assert sign_in(client) == 302
    return client


def signed_in_before() -> Any:
    """Return a browser that signed in before the window."""
    client = signed_in()
    disable_writes()
    return client


def changed_since() -> Any:
    """Return a browser that signed in before the window, and whose session changed in it."""
    client = signed_in_before()
    client.get("/touch/")
    return client


def held(cookie: str) -> Any:
    """Return all that a cookie holds."""
    return signing.loads(cookie.removeprefix("ro:"), salt=cookies.SALT, serializer=JSONSerializer)


@pytest.fixture(params=[signed_in_now, signed_in_before, changed_since])
def customer(request: pytest.FixtureRequest, engine: Any) -> Any:
    """A browser of the customer's, in the window."""
    return request.param()


def test_who_signs_in_as_another_is_that_user(customer: Any) -> None:
    assert sign_in(customer, "admin") == 302

    assert [user_of(customer) for _ in range(2)] == ["admin", "admin"]
    enable_writes()
    assert [user_of(customer) for _ in range(2)] == ["admin", "admin"]


def test_who_signs_in_as_one_after_another_is_the_last(customer: Any) -> None:
    for name in ("admin", "customer", "admin", "customer"):
        assert sign_in(customer, name) == 302

        assert user_of(customer) == name


def test_the_user_of_before_is_signed_out(customer: Any) -> None:
    thief = copy_of(customer)
    sign_in(customer, "admin")

    assert user_of(thief) == ""
    enable_writes()
    assert user_of(thief) == ""


def test_signing_in_as_another_carries_nothing_over(customer: Any) -> None:
    customer.get("/touch/")
    sign_in(customer, "admin")

    assert customer.get("/session/").json() == {"user": "admin", "seen": 0}
    assert held(session_cookie(customer))["from"] is None


def test_what_is_written_after_a_sign_out_is_kept(customer: Any) -> None:
    thief = copy_of(customer)
    assert customer.get("/leave/").content == b"left"

    assert (user_of(customer), user_of(thief)) == ("", "")
    assert held(session_cookie(customer))["from"] is None
    assert customer.get("/hear/").content == b"goodbye"


def test_what_was_written_after_a_sign_out_is_taken_into_the_store(customer: Any) -> None:
    customer.get("/leave/")
    enable_writes()

    assert customer.get("/hear/").content == b"goodbye"
    assert not session_cookie(customer).startswith("ro:")


def test_what_an_asynchronous_view_writes_after_a_sign_out_is_kept(customer: Any) -> None:
    async def leave() -> Any:
        other = AsyncClient()
        other.cookies[NAME] = session_cookie(customer)
        assert (await other.get("/aleave/")).content == b"left"
        return (await other.get("/session/")).json()

    assert async_to_sync(leave)() == {"user": "", "seen": 7}
    assert user_of(customer) == ""


def test_a_sign_out_of_what_another_left_behind_ends_that_too(customer: Any) -> None:
    customer.get("/leave/")
    sign_in(customer, "admin")
    thief = copy_of(customer)
    customer.post("/accounts/logout/")

    assert (user_of(customer), user_of(thief)) == ("", "")


def test_deleting_another_session_leaves_this_one_what_it_is(customer: Any) -> None:
    customer.get("/touch/")
    before = held(session_cookie(customer))["id"]
    session = store(session_cookie(customer))
    session["seen"] = 3
    session.delete(session_cookie(signed_in_now()))
    session.save()

    assert held(session.session_key)["id"] == before
