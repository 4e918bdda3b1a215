"""Anonymous mode: everybody appears signed out, and no page depends on a cookie, so that it can be cached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, modify_settings, override_settings
from django.test.utils import CaptureQueriesContext

from tests.http.pages.engines import (
    COOKIES,
    PLAIN,
    browser,
    session_cookie,
    sessions_of,
    sign_in,
    signed_in,
    user_of,
)

ENGINES = {"plain": PLAIN["db"], "ours": COOKIES["ours over db"]}


@pytest.fixture(params=ENGINES.values(), ids=list(ENGINES), autouse=True)
def anonymous(request: pytest.FixtureRequest, pages: None) -> Iterator[None]:
    with sessions_of(request.param, READONLY_ROUTER_VISITORS="anonymous"):
        yield


@pytest.fixture
def visitor(unchanged: Callable[[], None]) -> Any:
    """A browser whose user signed in before the mode began."""
    client = signed_in("admin")
    unchanged()
    return client


def test_who_was_signed_in_appears_signed_out(visitor: Any) -> None:
    assert user_of(visitor) == ""
    assert visitor.get("/orders/").status_code == 302
    assert visitor.get("/echo/").json()["cookies"] == []


def test_who_was_signed_in_appears_signed_out_to_asynchronous_views(visitor: Any) -> None:
    async def ask() -> Any:
        other = AsyncClient()
        other.cookies["sessionid"] = session_cookie(visitor)
        return (await other.get("/aecho/")).json()

    seen = async_to_sync(ask)()

    assert (seen["user"], seen["cookies"]) == ("", [])


def test_who_was_signed_in_is_signed_in_again_after_it(visitor: Any, unchanged: Callable[[], None]) -> None:
    from readonly_router import enable_writes

    user_of(visitor)
    enable_writes()

    assert user_of(visitor) == "admin"


def test_what_a_server_or_a_client_says_of_the_user_is_gone(visitor: Any) -> None:
    with modify_settings(
        MIDDLEWARE={"append": "django.contrib.auth.middleware.RemoteUserMiddleware"},
        AUTHENTICATION_BACKENDS={"append": "django.contrib.auth.backends.RemoteUserBackend"},
    ):
        answer = visitor.get("/echo/", headers={"Authorization": "Token secret"}, REMOTE_USER="admin")

    assert (answer.json()["user"], answer.json()["authorization"]) == ("", "")


PAGES = ["/", "/tags/", "/token/", "/touch/", "/say/", "/session/", "/new-key/", "/leave/", "/expiring/?seconds=9"]


@pytest.mark.parametrize("path", PAGES)
def test_no_page_sets_a_cookie_or_varies_with_one(visitor: Any, path: str) -> None:
    answer = visitor.get(path)

    assert answer.status_code == 200
    assert not answer.cookies
    assert "cookie" not in answer.get("Vary", "").lower()


def test_a_page_that_varies_with_more_still_does(visitor: Any) -> None:
    with modify_settings(MIDDLEWARE={"append": "tests.http.pages.test_anonymous.varies"}):
        answer = visitor.get("/token/")

    assert answer["Vary"] == "Accept-Language, Accept"


def varies(get_response: Callable[..., Any]) -> Callable[..., Any]:
    def vary(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = get_response(request)
        response["Vary"] = "Accept-Language, Cookie,Accept"
        return response

    return vary


@pytest.mark.parametrize("path", PAGES[1:])
def test_no_session_and_no_user_is_asked_for(visitor: Any, path: str) -> None:
    connections["readonly"].ensure_connection()
    with CaptureQueriesContext(connections["readonly"]) as queries:
        visitor.get(path)

    asked = [query["sql"] for query in queries.captured_queries]
    assert [sql for sql in asked if "django_session" in sql or "auth_user" in sql] == []


def test_a_page_is_the_same_for_everybody(visitor: Any) -> None:
    assert visitor.get("/").content == browser().get("/").content


def test_a_page_is_cached_for_everybody(visitor: Any) -> None:
    cache.clear()
    with modify_settings(
        MIDDLEWARE={
            "prepend": [
                "readonly_router.middleware.ReadOnlyMiddleware",
                "django.middleware.cache.UpdateCacheMiddleware",
            ],
            "append": ["django.middleware.cache.FetchFromCacheMiddleware"],
        }
    ):
        visitor.get("/tags/")
        with CaptureQueriesContext(connections["readonly"]) as queries:
            answer = browser().get("/tags/")

    assert answer.status_code == 200
    assert answer["Read-Only"] == "?1"
    assert not queries.captured_queries


# Exempt pages know their visitors.


@override_settings(READONLY_ROUTER_EXEMPT=["^/session/", "^/touch/"])
def test_an_exempt_page_knows_who_is_signed_in(visitor: Any) -> None:
    assert user_of(visitor) == "admin"
    assert user_of(visitor) == "admin"


@override_settings(READONLY_ROUTER_EXEMPT=["^/session/"])
def test_who_signs_in_is_known_to_exempt_pages(unchanged: Callable[[], None]) -> None:
    with sessions_of(ENGINES["ours"]):
        unchanged()
        client = browser()

        assert sign_in(client, "admin") == 302
        assert user_of(client) == "admin"
        assert client.get("/echo/").json()["user"] == ""


@override_settings(READONLY_ROUTER_EXEMPT=["^/echo/"])
def test_what_an_exempt_page_is_sent_stays(visitor: Any) -> None:
    seen = visitor.post("/echo/", {"name": "door"}).json()

    assert (seen["user"], seen["post"], seen["method"]) == ("admin", {"name": "door"}, "POST")


@override_settings(READONLY_ROUTER_EXEMPT=["whoami"], ROOT_URLCONF="tests.http.pages.translated")
@pytest.mark.parametrize("language", ["de", "en-gb", "fr"])
def test_an_exempt_page_is_found_in_each_language(visitor: Any, language: str) -> None:
    with modify_settings(MIDDLEWARE={"append": "django.middleware.locale.LocaleMiddleware"}):
        assert visitor.get(f"/{language}/whoami/").json()["user"] == "admin"


# With the other policies.


@override_settings(READONLY_ROUTER_UNSAFE_METHODS="as_get")
def test_both_modes_combine(visitor: Any) -> None:
    seen = visitor.post("/echo/?q=tea", {"name": "door"}).json()

    assert (seen["method"], seen["post"], seen["user"], seen["cookies"]) == ("GET", {}, "", [])
    assert seen["query"] == {"q": "tea"}


@override_settings(READONLY_ROUTER_UNSAFE_METHODS="as_get")
def test_an_exempt_page_is_spared_both_modes(visitor: Any) -> None:
    with override_settings(READONLY_ROUTER_EXEMPT=["^/echo/"]):
        seen = visitor.post("/echo/", {"name": "door"}).json()

    assert (seen["method"], seen["post"], seen["user"]) == ("POST", {"name": "door"}, "admin")


def test_no_cache_is_filled_with_sessions_of_nobody(unchanged: Callable[[], None]) -> None:
    with sessions_of({"SESSION_ENGINE": "django.contrib.sessions.backends.cache"}):
        unchanged()
        browser().get("/touch/")

        assert not cast(Any, cache)._cache


def test_an_unsafe_method_is_refused_as_ever(visitor: Any) -> None:
    answer = visitor.post("/echo/")

    assert answer.status_code == 503
    assert not answer.cookies


def test_normal_mode_knows_everybody() -> None:
    client = signed_in("admin")

    assert user_of(client) == "admin"
    assert client.get("/touch/").cookies


@override_settings(READONLY_ROUTER_VISITORS="robots")
def test_another_policy_is_an_error_that_names_the_two(unchanged: Callable[[], None]) -> None:
    from django.test import Client

    unchanged()
    with pytest.raises(ImproperlyConfigured, match="signed_in, anonymous"):
        Client().get("/tags/")
