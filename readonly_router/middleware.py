"""The outermost middleware: a request keeps the mode it began in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse

from . import conf, mode
from .connections import meet, resolve

# https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

GetResponse = Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]


class ReadOnlyMiddleware:
    """Decide the mode once, at a request's start, and keep it: one that began writable may finish its writes.

    Stands first in MIDDLEWARE. A request by an unsafe method opens the writer's session where there is none, for
    that one knows the mode. Where the drain ends the session that the request wrote through, it goes on
    read-only.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if self.is_async:
            return self._asynchronous(request)
        _look(request)
        with _pinned():
            return self.get_response(request)

    async def _asynchronous(self, request: HttpRequest) -> HttpResponse:
        # The connections of asynchronous views live in the thread that runs their synchronous code.
        await sync_to_async(_look)(request)
        with _pinned():
            return await cast(Awaitable[HttpResponse], self.get_response(request))


def _look(request: HttpRequest) -> None:
    # A request that is to write must know before it does anything else; one that reads may never ask the database.
    look = resolve if request.method in SAFE_METHODS else meet
    for alias in conf.twins():
        look(alias)


@contextmanager
def _pinned() -> Iterator[None]:
    token = mode.pin(conf.twins())
    try:
        yield
    finally:
        mode.unpin(token)
