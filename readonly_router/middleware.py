"""The outermost middleware: a request keeps the mode it began in, and a refused write is a polite 503."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.signals import got_request_exception
from django.http import FileResponse, HttpRequest, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.urls import Resolver404
from django.urls import resolve as resolve_url
from django.utils.datastructures import MultiValueDict

from . import conf, mode, refused
from .connections import resolve
from .errors import ReadOnlyError, SessionTooLargeError
from .exemptions import is_exempt
from .mode import Status
from .plain_sessions import NOT_STORED
from .request_mode import SAFE, is_read_only, serving
from .responses import mark, unavailable

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]

_REFUSALS = (ReadOnlyError, SessionTooLargeError)
_REFUSAL, _NOBODY = "_readonly_router_refusal", "_readonly_router_nobody"


class ReadOnlyMiddleware:
    """Decide the mode once, at a request's start, and keep it: one that began writable may finish its writes.

    In read-only mode unsafe methods are answered before the view runs, but for exempt ones, and a refusal that
    reaches no handler of the application's own becomes a 503. Every other error stays what it was. Stands first in
    MIDDLEWARE; sync and async. Where the drain ends the session that the request wrote through, it goes on
    read-only.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
        got_request_exception.connect(_note_refusal, dispatch_uid="readonly_router")

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._asynchronous(request)
        _look()
        with _pinned(), serving(request):
            _prepare(request)
            response = cast(HttpResponseBase, self.get_response(request))
            return _first_chunk(request, _finish(request, response))

    async def _asynchronous(self, request: HttpRequest) -> HttpResponseBase:
        # The connections of asynchronous views live in the thread that runs their synchronous code.
        await sync_to_async(_look)()
        with _pinned(), serving(request):
            _prepare(request)
            response = await cast(Awaitable[HttpResponseBase], self.get_response(request))
            return await _first_chunk_async(request, _finish(request, response))

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], _args: Any, _kwargs: Any
    ) -> HttpResponseBase | None:
        """Answer an unsafe method before the view runs: it may charge a card before its INSERT is refused."""
        if request.method in SAFE or not is_read_only() or conf.unsafe_methods() != "refuse":
            return None
        return None if is_exempt(request, view) else unavailable(request, _status())

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Answer a refusal that the view let through."""
        return _refusal(request, error) if isinstance(error, _REFUSALS) else None


def _status() -> Status:
    return mode.get_status(conf.primary())


def _look() -> None:
    for alias in conf.twins():
        resolve(alias)


@contextmanager
def _pinned() -> Iterator[None]:
    token = mode.pin(conf.twins())
    try:
        yield
    finally:
        mode.unpin(token)


def _prepare(request: HttpRequest) -> None:
    if not is_read_only():
        return
    as_get = request.method not in SAFE and conf.unsafe_methods() == "as_get"
    anonymous = conf.visitors_are_anonymous()
    if (as_get or anonymous) and not _will_be_exempt(request):
        if as_get:
            _as_get(request)
        if anonymous:
            _be_nobody(request)


def _will_be_exempt(request: HttpRequest) -> bool:
    """Tell whether the request is exempt before Django itself looks for its view."""
    try:
        match = request.resolver_match = resolve_url(request.path_info)
    except Resolver404:
        return False
    try:
        return is_exempt(request, match.func)
    finally:
        request.resolver_match = None


def _be_nobody(request: HttpRequest) -> None:
    """Take the cookies from a request: it is of nobody, and its page can be cached for everybody."""
    request.META.pop("HTTP_COOKIE", None)
    # Before anything has parsed them: both handlers keep them in this place.
    cast(Any, request).COOKIES = {}
    setattr(request, _NOBODY, True)


def _as_get(request: HttpRequest) -> None:
    """Make a request a GET without a body, as far as Django and its frameworks can tell."""
    request.method = "GET"
    request.META.update({"REQUEST_METHOD": "GET", "CONTENT_LENGTH": "0", "CONTENT_TYPE": ""})
    request.META.pop("HTTP_TRANSFER_ENCODING", None)
    request.content_type, request.content_params = "", {}
    # Django's own places for what it parsed, which keep it from reading the body.
    found = cast(Any, request)
    found._post, found._files, found._body = QueryDict(), MultiValueDict(), b""
    found._stream, found._read_started = io.BytesIO(b""), False


def _finish(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Replace the 500 that Django made of a refusal in another middleware, and mark what the mode served."""
    if (error := getattr(request, _REFUSAL, None)) is not None:
        response.close()
        return _refusal(request, error)
    if is_read_only():
        _clean(request, response)
        mark(response)
    return response


def _clean(request: HttpRequest, response: HttpResponseBase) -> None:
    """Keep cookies from a visitor that would lead nowhere, or whom the page shall not know."""
    session_cookie, _ = conf.session_cookies()
    if getattr(getattr(request, "session", None), NOT_STORED, False):
        response.cookies.pop(session_cookie, None)
    if getattr(request, _NOBODY, False):
        response.cookies.clear()
        kept = [name for name in response.get("Vary", "").split(", ") if name and name.lower() != "cookie"]
        response.headers.pop("Vary", None)
        if kept:
            response["Vary"] = ", ".join(kept)


def _refusal(request: HttpRequest, error: BaseException) -> HttpResponseBase:
    refused.note(request, error)
    return unavailable(request, _status())


def _note_refusal(request: HttpRequest | None = None, **_: Any) -> None:
    """Keep a refusal that no view raised, such as one of a session that is saved after it."""
    error = sys.exc_info()[1]
    if request is not None and (found := _refusal_in(error)) is not None:
        setattr(request, _REFUSAL, found)


def _refusal_in(error: BaseException | None) -> BaseException | None:
    # Django's sessions tell a refused save as an error of their own, raised while ours was handled.
    while error is not None and not isinstance(error, _REFUSALS):
        error = error.__cause__ or error.__context__
    return error


# -- streaming


def _first_chunk(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Draw the first chunk of a stream while it still can become a 503."""
    if not _is_stream(response) or cast(StreamingHttpResponse, response).is_async:
        return response
    stream = cast(StreamingHttpResponse, response)
    chunks = iter(cast(Iterator[bytes], stream.streaming_content))
    try:
        first = next(chunks, None)
    except ReadOnlyError as error:
        response.close()
        return _refusal(request, error)
    stream.streaming_content = chunks if first is None else chain([first], chunks)
    return response


async def _first_chunk_async(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if not _is_stream(response):
        return response
    if not cast(StreamingHttpResponse, response).is_async:
        return await sync_to_async(_first_chunk)(request, response)
    stream = cast(StreamingHttpResponse, response)
    chunks = aiter(cast(AsyncIterator[bytes], stream.streaming_content))
    try:
        first = await anext(chunks, None)
    except ReadOnlyError as error:
        response.close()
        return _refusal(request, error)
    stream.streaming_content = chunks if first is None else _joined(first, chunks)
    return response


async def _joined(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in chunks:
        yield chunk


def _is_stream(response: HttpResponseBase) -> bool:
    return response.streaming and not isinstance(response, FileResponse) and is_read_only()
