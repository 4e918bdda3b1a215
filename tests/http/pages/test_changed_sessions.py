"""Pages that change a session while it is read: database sessions drop the change, ours keep it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.models import Session
from django.test import AsyncClient, modify_settings, override_settings

from readonly_router import ReadOnlyError
from tests.http.pages.engines import (
    COOKIES,
    NAME,
    PLAIN,
    browser,
    session_cookie,
    sessions_of,
    sign_in,
    signed_in,
    store,
    user_of,
)
from tests.http.pages.usual import BROWSER


@pytest.fixture
def read_only(unchanged: Callable[[], None]) -> None:
    unchanged()


@pytest.fixture
def visitor(unchanged: Callable[[], None]) -> Any:
    """A browser whose user signed in before the mode began."""
    client = signed_in()
    unchanged()
    return client


def seen(client: Any) -> list[bytes]:
    return [client.get("/touch/").content for _ in range(3)]


# With database sessions.


def test_a_new_visitors_session_is_dropped_and_no_cookie_is_set(plain: Any, read_only: None) -> None:
    client = browser()

    assert seen(client) == [b"1", b"1", b"1"]
    assert NAME not in client.cookies


def test_a_new_visitors_session_is_dropped_by_the_asynchronous_handler(plain: Any, read_only: None) -> None:
    async def ask() -> Any:
        client = AsyncClient()
        answers = [(await client.get("/touch/")).content for _ in range(2)]
        return answers, NAME in client.cookies

    assert async_to_sync(ask)() == ([b"1", b"1"], False)


def test_a_cookie_of_no_session_is_taken_back(plain: Any, read_only: None) -> None:
    client = browser()
    client.cookies[NAME] = "asessionthatwasforgotten00000000"

    assert client.get("/touch/").status_code == 200
    assert session_cookie(client) == ""


def test_what_is_dropped_is_logged(plain: Any, read_only: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="readonly_router.sessions"):
        browser().get("/touch/")

    assert [record.name for record in caplog.records if "dropped" in record.getMessage()] != []


def test_postgres_is_asked_once_whether_the_engine_writes(
    plain: Any, read_only: None, caplog: pytest.LogCaptureFixture
) -> None:
    from readonly_router.sessions import plain

    browser().get("/touch/")
    session = store()()

    assert plain._WRITES in vars(type(session))
    assert seen(browser()) == [b"1", b"1", b"1"]


def test_a_session_of_a_refused_request_stays_the_sites_business(plain: Any, read_only: None) -> None:
    # Outside of requests nothing is tolerated: a task is to hear of it.
    session = store()("asessionthatwasstoredbefore00000")
    session["seen"] = 1

    with pytest.raises((ReadOnlyError, UpdateError)):
        session.save()


# With each engine.


def test_a_page_that_changes_a_session_can_be_read(engine: Any, visitor: Any) -> None:
    expected = [b"1", b"2", b"3"] if engine in COOKIES.values() else [b"1", b"1", b"1"]

    assert seen(visitor) == expected
    assert user_of(visitor) == "customer"


@override_settings(SESSION_SAVE_EVERY_REQUEST=True)
def test_a_session_that_is_saved_with_every_request_can_be_read(engine: Any, visitor: Any) -> None:
    assert [user_of(visitor) for _ in range(3)] == ["customer"] * 3
    assert seen(browser())[0] == b"1"


def test_a_new_key_can_be_asked_for(engine: Any, visitor: Any) -> None:
    assert visitor.get("/new-key/").status_code == 200
    assert user_of(visitor) == "customer"


@override_settings(MESSAGE_STORAGE="django.contrib.messages.storage.session.SessionStorage")
def test_a_message_is_no_error(engine: Any, visitor: Any) -> None:
    assert visitor.get("/say/").content == b"said"
    assert visitor.get("/hear/").content == (b"said" if engine in COOKIES.values() else b"")
    assert visitor.get("/hear/").content == b""


def test_a_message_in_a_cookie_is_kept(engine: Any, visitor: Any) -> None:
    visitor.get("/say/")

    assert visitor.get("/hear/").content == b"said"


@override_settings(MESSAGE_STORAGE="django.contrib.messages.storage.session.SessionStorage")
def test_a_message_to_a_new_visitor_is_no_error(engine: Any, read_only: None) -> None:
    client = browser()

    assert client.get("/say/").content == b"said"
    assert client.get("/hear/").content == (b"said" if engine in COOKIES.values() else b"")


def csrf_token(client: Any, path: str = "/token/") -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get(path).content.decode())
    assert found is not None
    return found[1]


@override_settings(CSRF_USE_SESSIONS=True)
def test_a_page_with_a_form_can_be_read_where_sessions_hold_the_token(engine: Any, read_only: None) -> None:
    client = browser()

    assert csrf_token(client)
    assert csrf_token(client, "/accounts/login/")


@override_settings(CSRF_USE_SESSIONS=True)
def test_signing_in_works_where_our_sessions_hold_the_token(cookies: None, read_only: None) -> None:
    client = browser(enforce_csrf_checks=True)
    fields = {"username": "customer", "password": "customer", "csrfmiddlewaretoken": csrf_token(client)}

    assert client.post("/accounts/login/", fields).status_code == 302
    assert user_of(client) == "customer"


@override_settings(CSRF_USE_SESSIONS=True)
def test_a_token_of_before_the_window_still_counts(engine: Any, unchanged: Callable[[], None]) -> None:
    client = browser(enforce_csrf_checks=True)
    token = csrf_token(client)
    unchanged()

    assert client.post("/accounts/logout/", {"csrfmiddlewaretoken": token}).status_code == 302


def test_signing_in_works_where_a_cookie_holds_the_token(cookies: None, read_only: None) -> None:
    client = browser(enforce_csrf_checks=True)
    fields = {"username": "customer", "password": "customer", "csrfmiddlewaretoken": csrf_token(client)}

    assert client.post("/accounts/login/", fields, headers=BROWSER).status_code == 302


# An engine of somebody else's.


class SessionStore(SessionBase):
    """An engine that writes rows in its own way: what is refused is not told as Django's does."""

    def exists(self, session_key: str) -> bool:
        return False

    def create(self) -> None:
        self._session_key = self._get_new_session_key()  # type: ignore[attr-defined]  # the stubs leave it out
        self.save(must_create=True)
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            self.create()
            return
        Session.objects.create(session_key=self.session_key, session_data="x", expire_date="2999-01-01T00:00Z")

    def delete(self, session_key: str | None = None) -> None:
        Session.objects.filter(session_key=session_key or self.session_key).delete()

    def load(self) -> dict[str, Any]:
        return {}


@override_settings(SESSION_ENGINE="tests.http.pages.test_changed_sessions")
def test_an_engine_of_somebody_elses_is_tolerated_too(read_only_pages: None) -> None:
    with sessions_of({}):
        client = browser()

        assert seen(client) == [b"1", b"1", b"1"]
        assert NAME not in client.cookies
        assert sign_in(client) == 503


class Broken(SessionStore):
    """An engine whose saves fail for another reason."""

    def save(self, must_create: bool = False) -> None:
        raise UpdateError("of its own")


def test_another_error_of_an_engine_stays_what_it_was(read_only_pages: None, monkeypatch: Any) -> None:
    import sys

    monkeypatch.setattr(sys.modules[__name__], "SessionStore", Broken)
    with sessions_of({"SESSION_ENGINE": __name__}):
        # Django's SessionInterrupted.
        assert browser().get("/touch/").status_code == 400


@pytest.mark.parametrize("name", ["signed_cookies", "file"])
def test_an_engine_without_a_database_works_as_ever(name: str, read_only_pages: None, tmp_path: Any) -> None:
    with sessions_of(
        {"SESSION_ENGINE": f"django.contrib.sessions.backends.{name}", "SESSION_FILE_PATH": str(tmp_path)}
    ):
        client = browser()

        assert sign_in(client) == 302
        assert user_of(client) == "customer"
        assert seen(client) == [b"1", b"2", b"3"]


def test_a_project_without_the_middleware_hears_of_refusals_as_ever(read_only_pages: None) -> None:
    with (
        modify_settings(MIDDLEWARE={"remove": "readonly_router.middleware.ReadOnlyMiddleware"}),
        sessions_of(PLAIN["db"]),
    ):
        assert browser().get("/touch/").status_code == 500
