"""Sessions while the default cache fails, which knows who signed out: pages go on, and nobody is guessed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.test import override_settings

from readonly_router import disable_writes, enable_writes
from readonly_router.sessions import signed_out
from tests.http.pages.engines import (
    COOKIES,
    browser,
    copy_of,
    session_cookie,
    sessions_of,
    sign_in,
    signed_in,
    user_of,
)

LOCAL = "django.core.cache.backends.locmem.LocMemCache"
# What a store keeps in a cache stays well, for Django itself fails without it.
SESSIONS = {"BACKEND": LOCAL, "LOCATION": "sessions"}
WELL = {"default": {"BACKEND": LOCAL}, "sessions": SESSIONS}


@pytest.fixture(params=COOKIES.values(), ids=list(COOKIES), autouse=True)
def engine(request: pytest.FixtureRequest, pages: None) -> Iterator[None]:
    """Our engine over each store."""
    signed_out.forget()
    with sessions_of(request.param, CACHES=WELL, SESSION_CACHE_ALIAS="sessions"):
        yield
        caches["sessions"].clear()
    signed_out.forget()


@pytest.fixture
def failing(tmp_path: Path) -> Callable[[], AbstractContextManager[Any]]:
    """A cache that fails for a while: its directory is a file."""
    (tmp_path / "file").touch()
    broken = {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": str(tmp_path / "file" / "below"),
    }
    return lambda: override_settings(CACHES={**WELL, "default": broken})


def signed_in_now() -> Any:
    """Return a browser that signed in during the window."""
    client = browser()
    assert sign_in(client) == 302
    return client


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [said for record in caplog.records if "cache failed" in (said := record.getMessage())]


def test_the_cache_of_these_tests_fails(failing: Any) -> None:
    with failing():
        with pytest.raises(NotADirectoryError):
            caches["default"].get("key")
        with pytest.raises(OSError, match="file"):
            caches["default"].set("key", True)


def test_pages_go_on_in_normal_mode(failing: Any) -> None:
    client = signed_in()
    with failing():
        assert user_of(client) == "customer"
        assert client.get("/touch/").status_code == 200
        assert client.post("/accounts/logout/").status_code == 302
        assert sign_in(client) == 302
        assert user_of(client) == "customer"


def test_a_session_of_the_store_goes_on_in_the_window(failing: Any, unchanged: Callable[[], None]) -> None:
    client = signed_in()
    unchanged()
    with failing():
        assert user_of(client) == "customer"


def test_a_cookie_session_is_nobodys_until_the_cache_answers(failing: Any, unchanged: Callable[[], None]) -> None:
    unchanged()
    client = signed_in_now()
    with failing():
        assert [user_of(client) for _ in range(2)] == ["", ""]

    assert user_of(client) == "customer"


def test_a_cookie_session_is_not_taken_into_the_store_until_the_cache_answers(failing: Any) -> None:
    disable_writes()
    client = signed_in_now()
    cookie = session_cookie(client)
    enable_writes()
    with failing():
        assert user_of(client) == ""
    assert (session_cookie(client), Session.objects.count()) == (cookie, 0)

    assert user_of(client) == "customer"
    assert not session_cookie(client).startswith("ro:")


def test_what_a_visitor_does_meanwhile_is_a_session_of_nobodys(failing: Any) -> None:
    disable_writes()
    client = signed_in_now()
    client.get("/touch/")
    enable_writes()
    with failing():
        assert client.get("/touch/").content == b"1"

        assert user_of(client) == ""
    assert client.get("/session/").json() == {"user": "", "seen": 1}


def test_who_signs_in_after_the_window_meanwhile_is_signed_in(failing: Any) -> None:
    disable_writes()
    client = signed_in_now()
    enable_writes()
    with failing():
        assert sign_in(client, "admin") == 302

        assert user_of(client) == "admin"
    assert user_of(client) == "admin"


def test_signing_out_in_the_window_is_no_error_and_its_lack_is_told(
    failing: Any, unchanged: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    client = signed_in()
    unchanged()
    with failing():
        assert client.post("/accounts/logout/").status_code == 302
        assert (session_cookie(client), user_of(client)) == ("", "")

    assert any("a copy of its cookie still works" in record.getMessage() for record in caplog.records)


def test_signing_in_in_the_window_counts_once_the_cache_answers(
    failing: Any, unchanged: Callable[[], None]
) -> None:
    unchanged()
    with failing():
        client = signed_in_now()
        assert user_of(client) == ""

    assert user_of(client) == "customer"


def test_a_sign_out_that_was_noted_holds_once_the_cache_answers(
    failing: Any, unchanged: Callable[[], None]
) -> None:
    unchanged()
    client = signed_in_now()
    thief = copy_of(client)
    client.post("/accounts/logout/")
    with failing():
        assert user_of(thief) == ""

    assert user_of(thief) == ""


def test_the_log_tells_of_it_once_and_holds_no_value(
    failing: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    clients = [signed_in() for _ in range(3)]
    with failing():
        for client in clients:
            user_of(client)

    (said,) = told(caplog)
    assert "NotADirectoryError" in said
    assert str(tmp_path) not in said
    assert not [record for record in caplog.records if record.exc_info]


def test_the_log_tells_of_it_again_later(
    failing: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in()
    with failing():
        user_of(client)
        monotonic = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 61)
        user_of(client)

    assert len(told(caplog)) == 2
