"""A refusal raised anywhere in a request is the 503; one that was caught, and every other error, is not."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import markcoroutinefunction
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.test import Client, modify_settings, override_settings

from readonly_router import ReadOnlyError
from readonly_router.http import refused
from tests.database import entry
from tests.example.shop.models import PageView, Tag
from tests.http.pages import counters
from tests.http.pages.asking import aget, consumes, get, is_unavailable
from tests.http.pages.usual import MIDDLEWARE

pytestmark = pytest.mark.usefixtures("read_only_pages")
BEHIND = "tests.http.pages.test_refusals_anywhere."


ANYWHERE = [
    *("view", "async-view", "template", "template-response", "on-commit", "service", "receiver"),
    *("lambda-on-commit", "counting", "stream/first", "stream/empty-chunks", "astream/first"),
]


@consumes
@pytest.mark.parametrize("path", ANYWHERE)
def test_a_refusal_anywhere_is_the_503(path: str) -> None:
    assert is_unavailable(get(f"/{path}/"))


@consumes
@pytest.mark.parametrize("path", ANYWHERE)
def test_a_refusal_anywhere_is_the_503_of_the_asynchronous_handler(path: str) -> None:
    assert is_unavailable(aget(f"/{path}/"))


@pytest.mark.parametrize("path", ["view", "on-commit", "template", "service"])
def test_a_refusal_in_atomic_requests_is_the_503(path: str) -> None:
    with entry("default", ATOMIC_REQUESTS=True):
        assert is_unavailable(get(f"/{path}/"))


# In another middleware.


def before_the_view(get_response: Callable[..., Any]) -> Callable[..., Any]:
    def stamp(request: HttpRequest) -> HttpResponse:
        counters.count("stamp")
        return get_response(request)

    return stamp


def after_the_view(get_response: Callable[..., Any]) -> Callable[..., Any]:
    def stamp(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        counters.count("stamp")
        return response

    return stamp


class AsyncStamp:
    """A middleware that writes in an event loop."""

    sync_capable, async_capable = False, True

    def __init__(self, get_response: Callable[..., Any]) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        await Tag.objects.acreate(name="stamp")
        return await self.get_response(request)


class AnswersItself:
    """A middleware that has an answer of its own to a refusal in a view."""

    def __init__(self, get_response: Callable[..., Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return HttpResponse("kept", status=409) if isinstance(error, ReadOnlyError) else None


def tries_again(get_response: Callable[..., Any]) -> Callable[..., Any]:
    """A middleware that asks once more where the first answer was an error."""

    def again(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.status_code < 500:
            return response
        request.path_info = "/tags/"
        return get_response(request)

    return again


@pytest.mark.parametrize("name", ["before_the_view", "after_the_view"])
@pytest.mark.parametrize("ask", [get, aget])
def test_a_refusal_in_another_middleware_is_the_503(name: str, ask: Callable[[str], Any]) -> None:
    with modify_settings(MIDDLEWARE={"append": BEHIND + name}):
        assert is_unavailable(ask("/tags/"))


def test_a_refusal_in_an_asynchronous_middleware_is_the_503() -> None:
    with modify_settings(MIDDLEWARE={"append": BEHIND + "AsyncStamp"}):
        assert is_unavailable(aget("/tags/"))


def test_a_middleware_may_answer_a_refusal_itself() -> None:
    with modify_settings(MIDDLEWARE={"append": BEHIND + "AnswersItself"}):
        answer = get("/view/")

    assert (answer.status_code, answer.content) == (409, b"kept")


def test_an_answer_that_another_middleware_got_in_the_end_stays() -> None:
    behind = [*MIDDLEWARE, BEHIND + "tries_again", BEHIND + "writes_once"]
    counters_before = list(WRITTEN)
    with override_settings(MIDDLEWARE=behind):
        answer = get("/tags/")
    WRITTEN[:] = counters_before

    assert answer.status_code == 200


WRITTEN: list[str] = []


def writes_once(get_response: Callable[..., Any]) -> Callable[..., Any]:
    def once(request: HttpRequest) -> HttpResponse:
        if not WRITTEN:
            WRITTEN.append("tried")
            counters.count("once")
        return get_response(request)

    return once


# What is not ours to answer.


@pytest.mark.parametrize("ask", [get, aget])
@pytest.mark.parametrize("within", [False, True])
def test_a_refusal_that_the_view_caught_is_its_business(ask: Callable[[str], Any], *, within: bool) -> None:
    with entry("default", ATOMIC_REQUESTS=within):
        answer = ask("/caught/")

    assert (answer.status_code, answer.content) == (202, f"{Tag.objects.count()} tags".encode())
    assert answer["Read-Only"] == "?1"


OTHERS = ["broken", "broken-query", "made-another", "made-another-of-it"]


@pytest.fixture
def signalled() -> Iterator[list[Any]]:
    """The errors that Django's signal told of, as error trackers hear of them."""
    found: list[Any] = []

    def note(**_: Any) -> None:
        found.append(type(sys.exc_info()[1]).__name__)

    got_request_exception.connect(note)
    yield found
    got_request_exception.disconnect(note)


@pytest.mark.parametrize("path", OTHERS)
@pytest.mark.parametrize("ask", [get, aget])
def test_every_other_error_stays_a_500_with_its_signal_and_log(
    path: str, ask: Callable[[str], Any], signalled: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask(f"/{path}/")

    expected = "DataError" if path == "broken-query" else "LookupError"
    assert answer.status_code == 500
    assert signalled == [expected]
    (record,) = [record for record in caplog.records if record.name == "django.request"]
    assert (record.levelname, record.exc_info and record.exc_info[0].__name__) == ("ERROR", expected)  # type: ignore[union-attr]  # as above


def test_every_other_error_is_djangos_page_in_debug() -> None:
    with override_settings(DEBUG=True):
        answer = get("/broken/")

    assert answer.status_code == 500
    assert b"a bug with a secret in it" in answer.content


def test_every_other_error_reaches_the_test_client() -> None:
    with pytest.raises(LookupError):
        Client().get("/broken/")


def test_a_missing_page_stays_a_404() -> None:
    assert get("/no-such-page/").status_code == 404


# What a refusal does to the logs.


def test_a_refusal_is_no_error_of_the_site(caplog: pytest.LogCaptureFixture) -> None:
    # Django would mail each of them to ADMINS.
    with caplog.at_level(logging.INFO):
        get("/view/")
        Client().post("/view/")
        with modify_settings(MIDDLEWARE={"append": BEHIND + "before_the_view"}):
            get("/tags/")
            aget("/tags/")

    assert [record.name for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_refusal_in_a_view_is_no_exception_for_trackers(signalled: list[Any]) -> None:
    get("/view/")

    assert signalled == []


def test_nothing_private_is_in_the_503(caplog: pytest.LogCaptureFixture) -> None:
    texts = [get("/view/", headers={"Accept": accept}).content.decode() for accept in ("text/html", "*/*")]

    for text in texts:
        assert "shop_tag" not in text
        assert "readonly" not in text.replace("readonly_router", "")
        assert "25006" not in text
        assert "DB_READ_ONLY" not in text


def test_refusals_are_known_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        get("/service/")

    assert len(refused.known()) == 1
    assert len([record for record in caplog.records if record.name == "readonly_router.refused"]) == 1


def test_the_data_of_the_pages_can_be_read() -> None:
    assert PageView.objects.count() == 0
