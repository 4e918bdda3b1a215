"""The 503: as a page, as problem details, or as a fragment; with its headers, and without a query."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.handlers.wsgi import WSGIRequest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, modify_settings, override_settings

from readonly_router import enable_writes
from readonly_router.http.responses import ways_on
from tests.http.pages.asking import kind
from tests.http.pages.usual import BROWSER

REASON = "Moving to <b>PostgreSQL 18</b> & back"


@pytest.fixture
def refused_page(read_only_pages: None) -> None:
    """The page of a read-only process."""


def post(**headers: str) -> Any:
    return Client().post("/echo/", headers=headers)


CLIENTS = {
    "browser": (BROWSER, "page"),
    "curl": ({"Accept": "*/*"}, "problem"),
    "no Accept at all": ({}, "problem"),
    "API client": ({"Accept": "application/json"}, "problem"),
    "API client with a rest": ({"Accept": "application/json, text/plain, */*"}, "problem"),
    "problem details": ({"Accept": "application/problem+json"}, "problem"),
    "JSON rather than a page": ({"Accept": "text/html;q=0.5, application/json"}, "problem"),
    "a page rather than JSON": ({"Accept": "application/json;q=0.5, text/html"}, "page"),
    "XHTML": ({"Accept": "application/xhtml+xml"}, "page"),
    "no page at all": ({"Accept": "text/html;q=0, */*"}, "problem"),
    "something else": ({"Accept": "image/png"}, "problem"),
    "HTMX": ({**BROWSER, "HX-Request": "true"}, "fragment"),
    "HTMX, anything": ({"Accept": "*/*", "HX-Request": "true"}, "fragment"),
    "HTMX, boosted": ({**BROWSER, "HX-Request": "true", "HX-Boosted": "true"}, "page"),
    "HTMX, boosted, anything": ({"Accept": "*/*", "HX-Request": "true", "HX-Boosted": "true"}, "page"),
    "HTMX, back": ({"Accept": "*/*", "HX-Request": "true", "HX-History-Restore-Request": "true"}, "page"),
    "not HTMX": ({**BROWSER, "HX-Request": "false"}, "page"),
}


@pytest.mark.parametrize(("headers", "expected"), CLIENTS.values(), ids=list(CLIENTS))
def test_each_client_gets_the_form_it_asked_for(
    refused_page: None, headers: dict[str, str], expected: str
) -> None:
    answer = post(**headers)

    assert (answer.status_code, kind(answer)) == (503, expected)


def test_a_json_body_is_answered_with_problem_details(refused_page: None) -> None:
    answer = Client().post("/echo/", {"name": "door"}, content_type="application/json", headers={"Accept": "*/*"})

    found = answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert (found["type"], found["title"], found["status"]) == ("about:blank", "Service Unavailable", 503)
    assert found["detail"].startswith("This site is read-only")


def test_a_fragment_tells_htmx_of_an_event(refused_page: None) -> None:
    answer = post(**BROWSER, **{"HX-Request": "true"})

    assert answer["HX-Trigger"] == "read-only"
    assert 'role="alert"' in answer.content.decode()


@pytest.mark.parametrize("headers", [BROWSER, {"Accept": "*/*"}, {"HX-Request": "true"}])
def test_no_form_is_stored_or_taken_for_another(refused_page: None, headers: dict[str, str]) -> None:
    answer = post(**headers)

    assert answer["Cache-Control"] == "no-store"
    assert {"Accept", "HX-Request", "HX-Boosted", "Accept-Language"} <= set(answer["Vary"].split(", "))


@pytest.mark.parametrize("path", ["/tags/", "/no-such-page/", "/broken/", "/caught/", "/file/", "/only-post/"])
def test_every_response_of_the_mode_says_so(refused_page: None, path: str) -> None:
    answer = Client(raise_request_exception=False).get(path)

    assert answer["Read-Only"] == "?1"
    answer.close()


def test_no_response_of_normal_mode_says_so(pages: None) -> None:
    assert "Read-Only" not in Client().get("/tags/")


def test_a_page_of_the_mode_may_be_cached_as_before(refused_page: None) -> None:
    assert "Cache-Control" not in Client().get("/tags/")


# Retry-After.


def test_without_an_eta_clients_come_back_in_a_minute(refused_page: None) -> None:
    assert post()["Retry-After"] == "60"
    assert post(Accept="*/*").json()["retry_after"] == 60


@override_settings(READONLY_ROUTER_RETRY_AFTER=5)
def test_without_an_eta_clients_come_back_when_the_setting_says(refused_page: None) -> None:
    assert post()["Retry-After"] == "5"


def test_a_window_tells_its_reason_and_its_end(pages: None, switching: Callable[..., Any]) -> None:
    eta = datetime.now(timezone.utc) + timedelta(minutes=30)
    with switching(reason=REASON, eta=eta):
        answer = post()

    found = answer.json()
    assert (found["reason"], datetime.fromisoformat(found["eta"])) == (REASON, eta)
    assert datetime.fromisoformat(found["since"]) < datetime.now(timezone.utc)
    assert 1700 < int(answer["Retry-After"]) <= 1800


def test_an_end_that_has_passed_is_not_told(pages: None, switching: Callable[..., Any]) -> None:
    with switching(eta=datetime.now(timezone.utc) - timedelta(minutes=1)):
        answer = post()
        page = post(**BROWSER)

    assert answer["Retry-After"] == "60"
    assert "we expect to be back" not in page.content.decode()


@pytest.mark.parametrize(
    ("headers", "promise"), [(BROWSER, "we expect to be back"), ({"HX-Request": "true"}, "Expected back")]
)
def test_a_reason_is_shown_as_text(
    pages: None, switching: Callable[..., Any], headers: dict[str, str], promise: str
) -> None:
    with switching(reason=REASON, eta=datetime.now(timezone.utc) + timedelta(minutes=30)):
        text = post(**headers).content.decode()

    assert "Moving to &lt;b&gt;PostgreSQL 18&lt;/b&gt; &amp; back" in text
    assert "<b>" not in text
    assert promise in text


@pytest.mark.parametrize("headers", [BROWSER, {"HX-Request": "true"}, {"Accept": "*/*"}])
def test_what_a_process_says_of_itself_is_not_shown(refused_page: None, headers: dict[str, str]) -> None:
    text = post(**headers).content.decode()

    assert "DB_READ_ONLY" not in text
    assert "enable_writes" not in text


def test_who_switched_is_not_shown(pages: None, switching: Callable[..., Any]) -> None:
    with switching(reason="moving"):
        texts = [post(**headers).content.decode() for headers in (BROWSER, {"Accept": "*/*"})]

    assert not any(getpass.getuser() + "@" in text or socket.gethostname() in text for text in texts)


# The page itself.


def test_the_page_needs_no_other_file(refused_page: None) -> None:
    text = post(**BROWSER).content.decode()

    assert "<link" not in text
    assert "<script" not in text
    assert "src=" not in text
    assert "url(" not in text


def test_the_page_leads_back_into_the_site_where_it_is(refused_page: None) -> None:
    answer = Client().post("/echo/", headers=BROWSER, SCRIPT_NAME="/below")

    assert 'href="/below/"' in answer.content.decode()


def test_the_page_of_a_read_says_nothing_of_what_was_sent(refused_page: None) -> None:
    read = Client().get('/service/x/?"><script>', headers=BROWSER).content.decode()
    sent = post(**BROWSER).content.decode()

    assert "What you just sent was not saved." in sent
    assert "What you just sent was not saved." not in read
    assert 'href="/service/x/?' in read
    assert "<script" not in read


def test_the_link_of_a_page_stays_on_the_site(refused_page: None) -> None:
    environ = RequestFactory().get("/?next=here").environ
    request = WSGIRequest({**environ, "PATH_INFO": "//evil.example/login/"})

    assert ways_on(request)["back"] == "/%2Fevil.example/login/?next=here"


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("de", '<html lang="de">'),
        ("de", "Zurzeit nur lesbar"),
        ("en", '<html lang="en">'),
        ("ar", '<html lang="ar" dir="rtl">'),
    ],
)
def test_the_page_is_in_the_visitors_language(refused_page: None, language: str, says: str) -> None:
    with modify_settings(MIDDLEWARE={"append": "django.middleware.locale.LocaleMiddleware"}):
        text = post(**BROWSER, **{"Accept-Language": language}).content.decode()

    assert says in text


# Rendering touches nothing.


@pytest.fixture
def no_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail whatever asks for a cursor of any alias."""

    def fail(self: Any) -> None:
        raise AssertionError("a query")

    monkeypatch.setattr(BaseDatabaseWrapper, "cursor", fail)


class Watch:
    """A middleware that keeps the session of the last request."""

    session: Any = None

    def __init__(self, get_response: Callable[..., Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response: HttpResponse = self.get_response(request)
        Watch.session = request.session
        return response


@pytest.mark.parametrize("headers", [BROWSER, {"Accept": "*/*"}, {"HX-Request": "true"}])
def test_a_refused_post_asks_no_query_and_touches_no_session(
    read_only_pages: None, no_query: None, headers: dict[str, str]
) -> None:
    with modify_settings(MIDDLEWARE={"append": "tests.http.pages.test_responses.Watch"}):
        client = Client()
        client.cookies["sessionid"] = "asessionofsomebodyelse0000000000"
        answer = client.post("/echo/", headers=headers)

    assert answer.status_code == 503
    assert not Watch.session.accessed
    assert "Cookie" not in answer["Vary"].split(", ")
    assert not answer.cookies


def test_the_asynchronous_handler_answers_the_same(refused_page: None) -> None:
    answer = async_to_sync(AsyncClient().post)("/echo/", headers=BROWSER)

    assert (answer.status_code, kind(answer), answer["Retry-After"]) == (503, "page", "60")


def test_all_is_as_before_after_the_mode(refused_page: None) -> None:
    enable_writes()

    assert post().status_code == 200
    assert connections["default"].alias == "default"
