"""Tricks with methods, paths and headers: nothing unsafe reaches a view that is not let through."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client, override_settings

from tests.http.pages.conftest import pages as pages  # noqa: PLC0414 - a fixture
from tests.http.pages.conftest import read_only_pages as read_only_pages  # noqa: PLC0414 - a fixture
from tests.http.pages.noted import ran
from tests.http.pages.servers import Server, served

FORM = "application/x-www-form-urlencoded"
EXEMPT = ["^/search/$", "/open/", "search"]


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


def ask(method: str, path: str, **headers: str) -> Any:
    client = Client(raise_request_exception=False, headers=headers)
    return client.generic(method, path, "name=door", FORM)


def aask(method: str, path: str, **headers: str) -> Any:
    async def go() -> Any:
        client = AsyncClient(raise_request_exception=False, headers=headers)
        return await client.generic(method, path, "name=door", FORM)

    return async_to_sync(go)()


BOTH = pytest.mark.parametrize("ask", [ask, aask])

# -- methods

UNSAFE = [
    *("POST", "post", "Post", "PUT", "put", "PATCH", "patch", "DELETE", "delete", "CONNECT", "MERGE", "LOCK"),
    *("PROPFIND", "MKCOL", "QUERY", "M-SEARCH", "PURGE", "FOO", "GETS", "XGET", "GET\t", " GET", "GET,POST", ""),
]


@BOTH
@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.usefixtures("read_only_pages")
def test_a_method_that_is_not_known_to_read_is_refused(ask: Callable[..., Any], method: str) -> None:
    answer = ask(method, "/echo/")

    assert (answer.status_code, answer.headers["Read-Only"], ran) == (503, "?1", [])


@BOTH
@pytest.mark.parametrize("method", ["GET", "get", "HEAD", "head", "OPTIONS", "TRACE", "trace"])
@pytest.mark.usefixtures("read_only_pages")
def test_a_read_that_writes_is_refused_whatever_its_method(ask: Callable[..., Any], method: str) -> None:
    assert ask(method, "/view/").status_code == 503


HEADERS: dict[str, dict[str, str]] = {
    **{name: {name: "GET"} for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")},
    **{name: {name: "/search/"} for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path", "Referer")},
    **{name: {name: "?0"} for name in ("Read-Only", "X-Read-Only", "DB-Read-Only", "Writable")},
    **{name: {name: "127.0.0.1"} for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded")},
    **{name: {name: "/search"} for name in ("Script-Name", "X-Script-Name", "X-Forwarded-Prefix")},
    "a cookie": {"Cookie": "read_only=0; readonly_router=off; sessionid=ro:x"},
    "as HTMX": {"HX-Request": "true"},
    "as a script": {"X-Requested-With": "XMLHttpRequest"},
    "as a service": {"Authorization": "Basic YWRtaW46YWRtaW4="},
    "as a fetch": {"Sec-Fetch-Mode": "navigate", "Purpose": "prefetch"},
}


@BOTH
@pytest.mark.parametrize("headers", HEADERS.values(), ids=list(HEADERS))
@pytest.mark.usefixtures("read_only_pages")
@override_settings(READONLY_ROUTER_EXEMPT=EXEMPT)
def test_no_header_opens_the_site(ask: Callable[..., Any], headers: dict[str, str]) -> None:
    assert ask("POST", "/echo/", **headers).status_code == 503
    assert ask("POST", "/echo/?_method=GET&read_only=0&db_read_only=0", **headers).status_code == 503
    assert ran == []


@BOTH
@pytest.mark.parametrize("override", ["POST", "PUT", "DELETE", "post"])
@pytest.mark.usefixtures("read_only_pages")
def test_a_read_stays_one_whatever_it_says_of_itself(ask: Callable[..., Any], override: str) -> None:
    answer = ask("GET", f"/echo/?_method={override}", **{"X-HTTP-Method-Override": override})

    assert answer.status_code == 200
    assert {each["method"] for each in ran} == {"GET"}


# -- paths

# Let through are /search/, what begins with /open/, and the page to sign in; /echo/ is not.
PATHS = [
    *("/echo/", "//echo/", "/echo//", "///echo/", "/./echo/", "/echo/.", "/ECHO/", "/echo", "/echo/?/search/"),
    *("/search/../echo/", "/search/%2e%2e/echo/", "/search%2f..%2fecho/", "/search/..;/echo/", "/search/;/echo/"),
    *("/open/../echo/", "/open/%2e%2e/echo/", "/open%2F%2E%2E%2Fecho/", "/open", "/open/../../echo/"),
    *("/echo/%2e%2e/search/", "/echo/../search/", "/echo/;/search/", "/echo/#/search/", "/echo/%23/search/"),
    *(
        "/echo/%0a/search/",
        "/%0a/search/echo/",
        "/echo/%00",
        "/echo/%3f/search/",
        "/echo%20/search/",
        "/x/search/",
    ),
    *("/x/search/", "/searchx/", "/search-that-writes/x/", "/search.json", "/SEARCH/", "/%73earch/../echo/"),
    "\\search\\echo",
    *("/accounts/login/../../echo/", "/accounts/login/echo/", "/accounts/login/%2e%2e/%2e%2e/echo/"),
    *("/accounts/password_change/", "/admin/login/../../echo/", "/admin/password_change/", "/static/../echo/"),
    *(
        "/inner/named/1/",
        "/outer/named/1/",
        "/inner/named/1/?name=search",
        "/http://x/search/",
        "/tags/",
        "/order/",
    ),
]


@BOTH
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.usefixtures("read_only_pages")
@override_settings(READONLY_ROUTER_EXEMPT=EXEMPT)
def test_no_spelling_of_a_path_reaches_another_view(ask: Callable[..., Any], path: str) -> None:
    answer = ask("POST", path)

    # Refused; or not there, or to be asked for by its right name.
    assert answer.status_code in {503, 404, 301, 302, 400}
    assert answer.headers["Read-Only"] == "?1"
    assert ran == []


@pytest.mark.parametrize("path", ["/search/", "/%73earch/", "/search/?x=/echo/"])
@pytest.mark.usefixtures("read_only_pages")
@override_settings(READONLY_ROUTER_EXEMPT=EXEMPT)
def test_what_is_let_through_is_so_by_what_django_itself_resolves(path: str) -> None:
    assert ask("POST", path).status_code == 200
    assert ran == ["search"]


@pytest.mark.parametrize("policy", ["refuse", "attempt", "as_get"])
@pytest.mark.usefixtures("read_only_pages")
@override_settings(READONLY_ROUTER_EXEMPT=[*EXEMPT, "^/"])
def test_what_is_let_through_by_mistake_still_writes_nothing(policy: str) -> None:
    # All of the data is compared in the end.
    with override_settings(READONLY_ROUTER_UNSAFE_METHODS=policy):
        answers = [ask("POST", path) for path in [*PATHS, "/view/", "/search-that-writes/"]]

    assert [answer.status_code for answer in answers[-2:]] == [503, 503]


# -- as a server reads them


@pytest.fixture(scope="module", params=["gunicorn", "uvicorn"])
def serving(request: pytest.FixtureRequest, filled_shop: Any) -> Iterator[Server]:
    with served(request.param, {"READONLY_ROUTER_EXEMPT": EXEMPT}, DB_READ_ONLY="1") as running:
        yield running


def status_of(serving: Server, method: str, path: str, **headers: str) -> int:
    """Ask with a path and a method as they are, whatever a library would make of them."""
    with serving.connection() as connection:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in {"Content-Length": "9", "Content-Type": FORM, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(b"name=door")
        try:
            return connection.getresponse().status
        except http.client.RemoteDisconnected:
            return 400  # as it is meant


RAW = [quote(path, safe="/%?&=.;:#") for path in PATHS]


@pytest.mark.parametrize("path", RAW)
@pytest.mark.usefixtures("pages")
def test_a_server_spells_no_path_so_that_it_is_let_through(serving: Server, path: str) -> None:
    assert status_of(serving, "POST", path) in {503, 404, 301, 302, 400}


@pytest.mark.parametrize("method", [method for method in UNSAFE if method.strip() == method != ""])
@pytest.mark.usefixtures("pages")
def test_a_server_spells_no_method_so_that_it_is_let_through(serving: Server, method: str) -> None:
    # What gunicorn does not know as a method it refuses itself; it answers CONNECT as it likes.
    assert status_of(serving, method, "/echo/") in {503, 404, 400, 405, 501}


@pytest.mark.parametrize(
    "headers",
    [
        {"Transfer-Encoding": "identity"},
        {"Content-Length": "-1"},
        {"Content-Length": "9,9"},
        {"Expect": "100-continue"},
        {"Script-Name": "/echo"},
        {"Connection": "X-HTTP-Method-Override"},
    ],
    ids=str,
)
@pytest.mark.usefixtures("pages")
def test_a_server_takes_no_header_so_that_it_is_let_through(serving: Server, headers: dict[str, str]) -> None:
    assert status_of(serving, "POST", "/echo/", **headers) in {503, 404, 400, 501, 403}
