"""A request keeps the mode it began in: one in flight finishes its writes, one that starts later is read-only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse

from readonly_router import ReadOnlyError, get_status, is_read_only, mode, read_only, writable
from readonly_router.middleware import ReadOnlyMiddleware
from tests.example.shop.models import Tag
from tests.harness.pairs import wait_for
from tests.switch.follower import (
    flipped,
    following_anew,
    listen,
    met_on,
    off,
    on_at_once,
    sent_on,
    served_by,
)

View = Callable[[], Any]
Respond = Callable[..., Any]


@pytest.fixture(autouse=True)
def follower(shop: None) -> Iterator[None]:
    with following_anew():
        yield


def requested(method: str) -> HttpRequest:
    request = HttpRequest()
    request.method = method
    return request


class Answering(HttpResponse):
    """A response that brings along what the view returned."""

    answer: Any = None


def synchronous(view: View, method: str = "GET") -> Any:
    """Answer a request with what a view returns, behind the middleware."""
    response = Answering()

    def get_response(_request: HttpRequest) -> HttpResponse:
        response.answer = view()
        return response

    ReadOnlyMiddleware(get_response)(requested(method))
    return response.answer


def asynchronous(view: View, method: str = "GET") -> Any:
    response = Answering()

    async def get_response(_request: HttpRequest) -> HttpResponse:
        response.answer = await sync_to_async(view)()
        return response

    # What is asynchronous outside is done in this thread: with its connections.
    async_to_sync(ReadOnlyMiddleware(get_response))(requested(method))
    return response.answer


@pytest.fixture(params=[synchronous, asynchronous])
def respond(request: pytest.FixtureRequest) -> Respond:
    """A function that answers a request with what a view returns."""
    return request.param


def met_by_another_thread(switch: Callable[[], Any], *, read_only: bool) -> None:
    """Throw the switch and have another thread of this process meet it."""

    def meet() -> None:
        wait_for(lambda: bool(served_by()) and is_read_only() is read_only)
        connections.close_all()

    switch()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(meet).result()


# -- what a request began with, it ends with


def test_a_request_writes_on_when_another_thread_met_on(respond: Respond) -> None:
    def view() -> tuple[bool, str]:
        Tag.objects.create(name="before on")
        met_by_another_thread(flipped, read_only=True)
        Tag.objects.create(name="after on")
        return is_read_only(), get_status().source

    assert (respond(view), is_read_only()) == ((False, "default"), True)


def test_a_request_in_blocks_writes_on_when_another_thread_met_on(respond: Respond) -> None:
    def view() -> int:
        for name in ("before on", "after on"):
            with transaction.atomic():
                Tag.objects.create(name=name)
            met_by_another_thread(flipped, read_only=True)
        return Tag.objects.filter(name__endswith=" on").count()

    assert respond(view) == 2


def test_a_request_stays_read_only_when_another_thread_met_off(respond: Respond) -> None:
    def view() -> tuple[bool, str, str]:
        met_by_another_thread(off, read_only=False)
        with pytest.raises(ReadOnlyError):
            Tag.objects.create(name="refused")
        return is_read_only(), get_status().source, served_by()

    met_on()
    assert (respond(view), is_read_only()) == ((True, "switch", "readonly"), False)


def test_a_request_whose_session_ended_goes_on_read_only(respond: Respond) -> None:
    def view() -> tuple[str, bool]:
        Tag.objects.create(name="before on")
        on_at_once()
        served = served_by()
        with pytest.raises(ReadOnlyError):
            Tag.objects.create(name="refused")
        return served, is_read_only()

    assert respond(view) == ("readonly", True)


def test_a_request_that_connects_only_after_on_is_read_only(respond: Respond) -> None:
    def view() -> tuple[str, str]:
        on_at_once()
        return served_by(), get_status().source

    assert respond(view) == ("readonly", "switch")


def test_a_request_may_write_through_the_switch(respond: Respond) -> None:
    def view() -> bool:
        with writable():
            Tag.objects.create(name="through")
        return is_read_only()

    met_on()
    assert (respond(view), Tag.objects.filter(name="through").exists()) == (True, True)


@pytest.mark.parametrize("scope", [read_only, writable])
def test_a_scope_around_a_request_is_stronger(respond: Respond, scope: Any) -> None:
    met_on()
    with scope():
        assert respond(is_read_only) is (scope is read_only)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_request_that_is_to_write_knows_at_its_start_without_any_session(respond: Respond, method: str) -> None:
    on_at_once()
    assert respond(mode.is_read_only, method) is True


# -- and no longer


def test_after_a_request_the_context_follows_again(respond: Respond) -> None:
    respond(served_by)
    on_at_once()
    assert (served_by(), is_read_only()) == ("readonly", True)


def test_after_a_request_that_failed_the_context_follows_again(respond: Respond) -> None:
    def view() -> None:
        met_by_another_thread(flipped, read_only=True)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        respond(view)
    assert is_read_only()


@pytest.mark.parametrize(
    ("respond", "method"),
    # One of asynchronous code that is safe has no session of its own yet, and so nothing to look at.
    [(synchronous, "GET"), (synchronous, "POST"), (asynchronous, "POST")],
)
def test_a_request_looks_for_on_at_its_start(
    respond: Respond, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen(monkeypatch)
    flipped()
    wait_for(lambda: respond(mode.is_read_only, method))


def test_a_request_looks_for_off_at_its_start(respond: Respond) -> None:
    met_on()
    off()
    wait_for(lambda: not respond(mode.is_read_only))


# -- and costs


def test_a_request_in_normal_mode_sends_nothing(respond: Respond, monkeypatch: pytest.MonkeyPatch) -> None:
    with sent_on(listen(monkeypatch)) as sent:
        assert respond(get_status).read_only is False
    assert sent == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_request_that_reads_nothing_opens_no_session(respond: Respond, method: str) -> None:
    respond(mode.get_status, method)
    assert [connections.own(alias) and connections.own(alias).connection for alias in connections] == [None, None]
