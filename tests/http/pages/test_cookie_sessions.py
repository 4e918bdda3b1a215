"""Sessions in signed cookies during their window: what they keep, and whose they are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core import signing
from django.test import override_settings

from readonly_router import disable_writes, enable_writes
from readonly_router.sessions import cookies
from tests.http.pages.engines import (
    NAME,
    browser,
    copy_of,
    seen,
    session_cookie,
    sign_in,
    signed_in,
    signed_in_now,
    user_of,
)

pytestmark = pytest.mark.usefixtures("cookies")


# During the window.


def test_a_session_of_before_is_read_and_stays_where_it_is(unchanged: Callable[[], None]) -> None:
    client = signed_in()
    key = session_cookie(client)
    unchanged()

    assert user_of(client) == "customer"
    assert session_cookie(client) == key


def test_a_session_that_changes_moves_into_a_cookie_and_keeps_what_it_held(unchanged: Callable[[], None]) -> None:
    client = signed_in()
    seen(client)
    unchanged()

    assert (seen(client), seen(client), user_of(client)) == (2, 3, "customer")
    assert session_cookie(client).startswith("ro:")


def test_the_cookie_is_as_the_settings_say(unchanged: Callable[[], None]) -> None:
    unchanged()
    with override_settings(SESSION_COOKIE_AGE=1000, SESSION_COOKIE_SAMESITE="Strict", SESSION_COOKIE_SECURE=True):
        cookie = browser().get("/touch/").cookies[NAME]

    assert (cookie["max-age"], cookie["samesite"], cookie["secure"], cookie["httponly"]) == (
        *(1000, "Strict"),
        *(True, True),
    )


def test_a_visitor_without_a_session_gets_none(unchanged: Callable[[], None]) -> None:
    unchanged()
    client = browser()
    user_of(client)

    assert session_cookie(client) == ""


@pytest.mark.parametrize(
    "forged",
    [
        *("ro:", "ro:x", "ro:eyJhIjoxfQ:1rK:xx", "x:y", "ro" * 40, "\x00ro:"),
        "ro:" + signing.dumps({"data": {"_auth_user_id": "1"}}, key="another key", salt=cookies.SALT),
        # Signed by us, for something else.
        "ro:"
        + signing.dumps({"data": {}, "id": "x", "from": None, "window": "process", "until": 9e9}, salt="other"),
    ],
    ids=["empty", "short", "unsigned", "of another mark", "long", "with a null", "another key", "another purpose"],
)
def test_a_forged_cookie_is_nobodys(unchanged: Callable[[], None], forged: str) -> None:
    unchanged()
    client = browser()
    client.cookies[NAME] = forged

    assert user_of(client) == ""
    enable_writes()
    assert user_of(client) == ""


def test_a_cookie_that_was_tampered_with_is_nobodys(unchanged: Callable[[], None]) -> None:
    unchanged()
    client = signed_in_now()
    body, stamp, signature = session_cookie(client).rsplit(":", 2)
    flipped = body[:-2] + ("A" if body[-2] != "A" else "B") + body[-1]
    for changed in (f"{flipped}:{stamp}:{signature}", f"{body}:1zzzzz:{signature}", f"{body}:{stamp}"):
        thief = browser()
        thief.cookies[NAME] = changed

        assert user_of(thief) == ""


def test_a_cookie_ends_when_its_session_expires(unchanged: Callable[[], None]) -> None:
    unchanged()
    client = signed_in_now()
    client.get("/expiring/?seconds=-1")

    assert user_of(client) == ""


def test_a_cookie_is_signed_by_a_former_key_for_as_long_as_that_counts(unchanged: Callable[[], None]) -> None:
    with override_settings(SECRET_KEY="the old key"):
        unchanged()
        client = signed_in_now()
    with override_settings(SECRET_KEY="the new key", SECRET_KEY_FALLBACKS=["the old key"]):
        copied = copy_of(client)
        assert user_of(client) == "customer"
    with override_settings(SECRET_KEY="the new key"):
        assert user_of(copied) == ""


def test_signing_out_ends_every_copy_of_a_cookie(unchanged: Callable[[], None]) -> None:
    unchanged()
    client = signed_in_now()
    thief = copy_of(client)
    client.post("/accounts/logout/")

    assert (user_of(client), user_of(thief)) == ("", "")


def test_signing_out_ends_the_session_that_a_cookie_began_from(unchanged: Callable[[], None]) -> None:
    client = signed_in()
    thief = copy_of(client)
    unchanged()
    seen(client)
    client.post("/accounts/logout/")

    assert user_of(thief) == ""


def test_a_cache_that_keeps_nothing_is_told(
    unchanged: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    caches = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    unchanged()
    client = signed_in_now()
    with override_settings(CACHES=caches):
        client.post("/accounts/logout/")

    assert any("a copy of its cookie still works" in record.getMessage() for record in caplog.records)


# Fixation.


def test_a_cookie_that_was_planted_is_not_signed_in() -> None:
    disable_writes()
    thief = browser()
    seen(thief)
    victim = copy_of(thief)
    sign_in(victim)

    assert (user_of(victim), user_of(thief)) == ("customer", "")
    enable_writes()
    assert (user_of(victim), user_of(thief)) == ("customer", "")


def test_a_stored_session_that_was_planted_is_not_signed_in() -> None:
    thief = browser()
    seen(thief)
    victim = copy_of(thief)
    disable_writes()
    sign_in(victim)

    assert (user_of(victim), user_of(thief)) == ("customer", "")
    enable_writes()
    assert (user_of(victim), user_of(thief)) == ("customer", "")
