"""SECRET_KEY is rotated with a fallback, in the window or after it: what was signed out stays so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import override_settings

from readonly_router import disable_writes, enable_writes
from tests.http.pages.engines import copy_of, signed_in, signed_in_now, user_of

pytestmark = pytest.mark.usefixtures("cookies")
OLD, NEW = "the old key", "the new key"
THEFTS = pytest.mark.parametrize("of", ["before the window", "of the window"])


@contextmanager
def rotated(*fallbacks: str) -> Iterator[None]:
    with override_settings(SECRET_KEY=NEW, SECRET_KEY_FALLBACKS=fallbacks or (OLD,)):
        yield


@pytest.fixture(autouse=True)
def old_key() -> Iterator[None]:
    with override_settings(SECRET_KEY=OLD):
        yield


@pytest.fixture
def stolen() -> Callable[[str], tuple[Any, Any]]:
    """Return a browser in the window, and a thief's with the same cookie."""

    def steal(of: str) -> tuple[Any, Any]:
        if of == "before the window":
            client = signed_in()
            disable_writes()
        else:
            disable_writes()
            client = signed_in_now()
        return client, copy_of(client)

    return steal


@THEFTS
def test_a_session_that_was_signed_out_stays_so_in_the_window(stolen: Callable[..., Any], of: str) -> None:
    client, thief = stolen(of)
    assert user_of(copy_of(thief)) == "customer"
    client.post("/accounts/logout/")

    with rotated():
        assert user_of(thief) == ""
    with rotated("another", OLD):
        assert user_of(thief) == ""


@THEFTS
def test_a_session_that_was_signed_out_stays_so_after_the_window(stolen: Callable[..., Any], of: str) -> None:
    client, thief = stolen(of)
    client.post("/accounts/logout/")
    enable_writes()

    with rotated():
        assert user_of(thief) == ""


@THEFTS
def test_what_is_signed_out_after_the_rotation_is_so_for_who_knows_the_old_key_alone(
    stolen: Callable[..., Any], of: str
) -> None:
    client, thief = stolen(of)
    with rotated():
        client.post("/accounts/logout/")

    assert user_of(thief) == ""


def test_a_session_that_is_not_signed_out_goes_on(stolen: Callable[..., Any]) -> None:
    client, _ = stolen("of the window")

    with rotated():
        assert user_of(client) == "customer"
        enable_writes()
        assert user_of(client) == "customer"


def test_a_session_that_was_taken_in_and_signed_out_is_not_taken_in_again(stolen: Callable[..., Any]) -> None:
    client, thief = stolen("of the window")
    enable_writes()
    assert user_of(client) == "customer"
    client.post("/accounts/logout/")

    with rotated():
        assert user_of(thief) == ""


def test_a_session_that_was_taken_in_is_the_same_for_its_old_cookie(stolen: Callable[..., Any]) -> None:
    client, other = stolen("of the window")
    enable_writes()
    assert client.get("/touch/").content == b"1"

    with rotated():
        # And not the cookie of the window once more.
        assert other.get("/touch/").content == b"2"


def test_a_cookie_of_a_key_without_a_fallback_is_nobodys(stolen: Callable[..., Any]) -> None:
    _, thief = stolen("of the window")

    with rotated("another"):
        assert user_of(thief) == ""
