"""Signing out while read-only, and what else ends or renews a session while it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.test import override_settings

from readonly_router import disable_writes, enable_writes
from tests.http.pages.engines import (
    browser,
    copy_of,
    session_cookie,
    sign_in,
    signed_in,
    user_of,
)


@pytest.mark.parametrize("path", ["/accounts/logout/", "/admin/logout/"])
def test_signing_out_works(engine: Any, unchanged: Callable[[], None], path: str) -> None:
    client = signed_in("admin")
    unchanged()

    assert client.post(path).status_code in {200, 302}
    assert (session_cookie(client), user_of(client)) == ("", "")


def test_signing_out_and_leaving_a_message_works(engine: Any, unchanged: Callable[[], None]) -> None:
    # The message is a change of a session that is new by then.
    client = signed_in()
    unchanged()
    with override_settings(MESSAGE_STORAGE="django.contrib.messages.storage.session.SessionStorage"):
        assert client.get("/leave/").status_code == 200

        assert user_of(client) == ""


def test_what_was_signed_out_stays_so_with_our_engine(cookies: None, unchanged: Callable[[], None]) -> None:
    client = signed_in()
    thief = copy_of(client)
    unchanged()
    client.post("/accounts/logout/")

    assert user_of(thief) == ""
    enable_writes()
    assert user_of(thief) == ""


# What Django itself changes in a session while it is read.


@pytest.fixture
def password_changes(superuser: psycopg.Connection[Any]) -> Callable[[], None]:
    """Change the customer's password behind the site, as writable() would."""

    def change() -> None:
        superuser.execute("UPDATE auth_user SET password = 'md5$x$y' WHERE username = 'customer'")

    return change


def test_a_changed_password_ends_a_session(engine: Any, password_changes: Callable[[], None]) -> None:
    client = signed_in()
    disable_writes()
    assert user_of(client) == "customer"
    password_changes()

    assert (user_of(client), session_cookie(client)) == ("", "")


def test_a_changed_password_ends_a_session_of_the_window(
    cookies: None, password_changes: Callable[[], None]
) -> None:
    disable_writes()
    client = browser()
    sign_in(client)
    thief = copy_of(client)
    password_changes()

    assert (user_of(client), user_of(thief)) == ("", "")
    enable_writes()
    assert user_of(thief) == ""


def test_a_new_secret_key_keeps_everybody_signed_in(engine: Any, unchanged: Callable[[], None]) -> None:
    with override_settings(SECRET_KEY="the old key"):
        client = signed_in()
    unchanged()
    with override_settings(SECRET_KEY="the new key", SECRET_KEY_FALLBACKS=["the old key"]):
        assert [user_of(client) for _ in range(3)] == ["customer"] * 3
        # Also where it is noticed by an unsafe request that is let through.
        assert client.post("/search/", {"q": "tea"}).status_code == 200
        assert user_of(client) == "customer"


def test_a_new_secret_key_keeps_everybody_signed_in_from_one_unsafe_request_on(
    engine: Any, unchanged: Callable[[], None]
) -> None:
    with override_settings(SECRET_KEY="the old key"):
        client = signed_in()
    unchanged()
    with override_settings(
        SECRET_KEY="the new key", SECRET_KEY_FALLBACKS=["the old key"], READONLY_ROUTER_EXEMPT=["^/echo/"]
    ):
        assert client.post("/echo/").json()["user"] == "customer"
        assert user_of(client) == "customer"
