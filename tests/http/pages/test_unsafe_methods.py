"""What becomes of POST, PUT, PATCH and DELETE: refused before the view, attempted, or made a bare GET."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient, Client, modify_settings, override_settings

from readonly_router import enable_writes
from readonly_router.errors import ConfigurationError
from tests.example.shop.models import Tag
from tests.http.pages.noted import ran

pytestmark = pytest.mark.usefixtures("read_only_pages")
UNSAFE = ["POST", "PUT", "PATCH", "DELETE", "PROPPATCH"]
SAFE = ["GET", "HEAD", "OPTIONS", "TRACE"]


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


def ask(method: str, path: str, data: Any = None, content_type: str = "") -> Any:
    """Ask the synchronous handler; `data` as a form where no content type is named."""
    if not content_type:
        return Client().post(path, data)
    return Client().generic(method, path, data, content_type)


def aask(method: str, path: str, data: Any = None, content_type: str = "") -> Any:
    """Ask the asynchronous handler in the same way."""

    async def go() -> Any:
        if not content_type:
            return await AsyncClient().post(path, data)
        return await AsyncClient().generic(method, path, data, content_type)

    return async_to_sync(go)()


HANDLERS = pytest.mark.parametrize(("handler", "path"), [(ask, "/echo/"), (aask, "/aecho/"), (aask, "/echo/")])


@pytest.mark.parametrize("method", UNSAFE)
def test_an_unsafe_method_is_refused_before_the_view_runs(method: str) -> None:
    answer = ask(method, "/echo/", "name=door", "application/x-www-form-urlencoded")

    assert (answer.status_code, answer["Read-Only"], ran) == (503, "?1", [])


@pytest.mark.parametrize("method", UNSAFE)
def test_an_unsafe_method_is_refused_before_an_asynchronous_view_runs(method: str) -> None:
    answer = aask(method, "/aecho/", "name=door", "application/x-www-form-urlencoded")

    assert (answer.status_code, answer["Read-Only"], ran) == (503, "?1", [])


@pytest.mark.parametrize("method", SAFE)
def test_a_safe_method_reaches_the_view(method: str) -> None:
    answer = Client().generic(method, "/echo/")

    assert (answer.status_code, ran[0]["method"]) == (200, method)


def test_an_unsafe_method_is_refused_before_its_csrf_token_is_looked_for() -> None:
    assert Client(enforce_csrf_checks=True).post("/view/").status_code == 503


def test_a_post_to_an_address_that_is_not_there_stays_a_404() -> None:
    assert Client().post("/no-such-page/").status_code == 404


def test_an_unsafe_method_reaches_the_view_in_normal_mode() -> None:
    enable_writes()
    answer = Client().post("/echo/", {"name": "door"})

    assert answer.json()["post"] == {"name": "door"}
    assert "Read-Only" not in answer


# attempt


@override_settings(READONLY_ROUTER_UNSAFE_METHODS="attempt")
@HANDLERS
def test_an_attempt_reaches_the_view_as_it_was_sent(handler: Callable[..., Any], path: str) -> None:
    answer = handler("POST", path, {"name": "door"})

    assert (answer.json()["method"], answer.json()["post"]) == ("POST", {"name": "door"})
    assert answer["Read-Only"] == "?1"


@override_settings(READONLY_ROUTER_UNSAFE_METHODS="attempt")
def test_what_an_attempt_writes_is_refused_by_postgres() -> None:
    assert Client().post("/view/").status_code == 503


# as_get

as_get = override_settings(READONLY_ROUTER_UNSAFE_METHODS="as_get")
MULTIPART = {"name": "door", "file": SimpleUploadedFile("door.txt", b"a door")}
BODIES: dict[str, tuple[Any, str]] = {
    "form": ("name=door&charset=x", "application/x-www-form-urlencoded"),
    "json": ('{"name": "door"}', "application/json"),
    "json of another charset": ('{"name": "door"}', "application/json; charset=latin-1"),
    "bytes": (b"\x00door" * 1000, "application/octet-stream"),
    "broken multipart": ("--x\r\nContent-Dispo", "multipart/form-data; boundary=y"),
    "nothing": ("", "text/plain"),
}
BARE = {"method": "GET", "meta": "GET", "type": "", "length": "", "post": {}, "files": [], "body": "", "rest": ""}


@as_get
@HANDLERS
@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_view_sees_a_get_without_a_body(
    handler: Callable[..., Any], path: str, body: tuple[Any, str], method: str
) -> None:
    data, content_type = body
    answer = handler(method, f"{path}?q=tea", data, content_type)

    assert answer.status_code == 200
    assert {**answer.json(), **BARE, "query": {"q": "tea"}} == answer.json()


@as_get
@HANDLERS
def test_a_view_sees_no_form_and_no_file(handler: Callable[..., Any], path: str) -> None:
    MULTIPART["file"].seek(0)  # type: ignore[attr-defined]  # a file
    answer = handler("POST", path, dict(MULTIPART))

    assert {**answer.json(), **BARE} == answer.json()


@as_get
def test_a_view_that_takes_files_by_a_handler_of_its_own_sees_none() -> None:
    answer = Client().post("/upload/", {"file": SimpleUploadedFile("door.txt", b"a door")})

    assert answer.content == b"0"


@as_get
def test_a_header_that_names_another_method_is_gone() -> None:
    with modify_settings(MIDDLEWARE={"append": "tests.http.pages.test_unsafe_methods.method_override"}):
        answer = Client().post("/echo/", headers={"X-HTTP-Method-Override": "DELETE"})

    assert answer.json()["method"] == "GET"


def method_override(get_response: Callable[..., Any]) -> Callable[..., Any]:
    def overriding(request: Any) -> Any:
        request.method = request.headers.get("X-HTTP-Method-Override", request.method)
        return get_response(request)

    return overriding


@as_get
def test_a_form_that_was_sent_is_shown_again() -> None:
    answer = Client().post("/tags/", {"name": "door"})

    assert answer.status_code == 200
    assert b"door" not in answer.content
    assert not Tag.objects.filter(name="door").exists()


@as_get
def test_a_view_that_insists_on_post_says_so() -> None:
    assert Client().post("/only-post/").status_code == 405


@as_get
def test_a_csrf_token_is_not_asked_for() -> None:
    assert Client(enforce_csrf_checks=True).post("/tags/", {"name": "door"}).status_code == 200


@as_get
def test_a_get_that_writes_is_refused_as_ever() -> None:
    assert Client().post("/view/").status_code == 503


@as_get
@pytest.mark.parametrize("path", ["/search/", "/part/", "/whole/", "/deep/", "/async-part/"])
def test_an_exempt_view_sees_what_was_sent(path: str) -> None:
    answer = Client().post(path, {"q": "tea"})

    assert answer.status_code == 200


@as_get
def test_an_exempt_views_body_is_there() -> None:
    answer = Client().post("/search/", '{"q": "tea"}', content_type="application/json")

    assert answer.json() == {"found": answer.json()["found"], "method": "POST"}
    assert answer.json()["found"] > 0


@as_get
@override_settings(READONLY_ROUTER_EXEMPT=["^/echo/"])
def test_an_exempt_path_sees_what_was_sent() -> None:
    assert Client().post("/echo/", {"name": "door"}).json()["method"] == "POST"


@as_get
def test_nothing_is_a_get_in_normal_mode() -> None:
    enable_writes()

    assert Client().post("/echo/", {"name": "door"}).json()["method"] == "POST"


# A policy that is none.


@override_settings(READONLY_ROUTER_UNSAFE_METHODS="perhaps")
def test_another_policy_is_an_error_that_names_the_three() -> None:
    with pytest.raises(ImproperlyConfigured, match="refuse, attempt, as_get") as caught:
        Client().post("/echo/")

    assert isinstance(caught.value, ConfigurationError)
