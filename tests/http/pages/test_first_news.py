"""A process that was idle as the switch was thrown: its next request hears of it, and is polite already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext

from readonly_router import mode
from readonly_router.following import followers
from tests.database import entry, logins
from tests.example.shop.models import PageView, Tag
from tests.http.pages import counters
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
from tests.http.pages.noted import ran

ALL = {**PLAIN, **COOKIES}
# Those over a cache may not have asked the database anything before they save.
ENGINES = {name: ALL[name] for name in ("db", "cached_db", "ours over db", "ours over cached_db")}


@pytest.fixture(params=ENGINES.values(), ids=list(ENGINES))
def engine(request: pytest.FixtureRequest, pages: None) -> Iterator[dict[str, str]]:
    with sessions_of(request.param):
        yield request.param


@pytest.fixture
def visitor(engine: Any) -> Any:
    """A browser whose user signed in before the switch was thrown."""
    return signed_in()


@pytest.fixture
def unheard(engine: Any, visitor: Any, switching: Callable[..., Any]) -> Iterator[None]:
    """The switch is on, and this process has neither heard of it nor an open connection."""
    ran.clear()
    with switching(reason="moving"):
        connections.close_all()
        followers.forget()
        assert not mode.is_read_only()
        yield
    assert not Tag.objects.filter(name="door").exists()
    assert not PageView.objects.exists()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_an_unsafe_view_does_not_run(unheard: None, method: str) -> None:
    answer = browser().generic(method, "/echo/")

    assert (answer.status_code, answer.json()["reason"], ran) == (503, "moving", [])


def test_an_unsafe_asynchronous_view_does_not_run(unheard: None) -> None:
    async def ask() -> Any:
        return await AsyncClient().post("/aecho/")

    assert (async_to_sync(ask)().status_code, ran) == (503, [])


@pytest.mark.parametrize("path", ["view", "template", "on-commit", "service", "receiver", "async-view"])
def test_a_page_that_writes_is_the_503(unheard: None, path: str) -> None:
    answer = browser().get(f"/{path}/")

    assert (answer.status_code, answer["Read-Only"]) == (503, "?1")


def test_a_page_that_reads_is_served_and_says_what_it_is_of(unheard: None) -> None:
    answer = browser().get("/tags/")

    assert (answer.status_code, answer["Read-Only"]) == (200, "?1")


def test_a_page_that_changes_a_session_is_served(unheard: None, visitor: Any, engine: Any) -> None:
    assert visitor.get("/touch/").content == b"1"
    assert user_of(visitor) == "customer"
    assert session_cookie(visitor).startswith("ro:") == (engine in COOKIES.values())


def test_a_new_visitors_page_that_changes_a_session_is_served(unheard: None, engine: Any) -> None:
    client = browser()

    assert client.get("/touch/").content == b"1"
    assert ("sessionid" in client.cookies) == (engine in COOKIES.values())


def test_signing_in_is_what_it_is_in_the_window(unheard: None, engine: Any) -> None:
    client = browser()

    assert sign_in(client) == (302 if engine in COOKIES.values() else 503)
    assert user_of(client) == ("customer" if engine in COOKIES.values() else "")


def test_signing_out_is_what_it_is_in_the_window(unheard: None, visitor: Any) -> None:
    assert visitor.post("/accounts/logout/").status_code == 302
    assert user_of(visitor) == ""


def test_what_is_skipped_is_skipped_at_once(unheard: None) -> None:
    assert counters.hits_of("/") == 0


def test_an_unsafe_request_of_normal_mode_opens_the_writers_session_alone(pages: None) -> None:
    with logins() as seen:
        for _ in range(3):
            browser().post("/no-such-page/")

    assert seen == ["default"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_of_normal_mode_asks_no_query_of_its_own(pages: None, method: str) -> None:
    connections["default"].ensure_connection()
    with CaptureQueriesContext(connections["default"]) as queries:
        browser().generic(method, "/no-such-page/")

    assert list(queries) == []


def test_a_database_that_is_away_is_the_views_business(pages: None) -> None:
    followers.forget()
    with entry("default", PORT="1"):
        assert browser().post("/no-such-page/").status_code == 404
