"""The outermost middleware: a request keeps the mode it began in, and a refused write is a polite 503."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponseBase

from . import announcing, conf, mode, visitors
from .connections.handler import begin_request, meet, resolve
from .errors import SessionEndedError, TwinLoginError
from .following import followers
from .http import bodies, refused, streams
from .http.exemptions import is_exempt
from .http.request_mode import SAFE, is_read_only, serving
from .http.responses import mark, unavailable
from .http.unreachable import is_unreachable, unreachable
from .installed import refuse_without_app
from .mode import Status

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]

_REFUSAL = "_readonly_router_refusal"


class ReadOnlyMiddleware:
    """Decide the mode once, at a request's start, and keep it: one that began writable may finish its writes.

    In read-only mode unsafe methods are answered before the view runs, but for exempt ones, and a refusal that
    reaches no handler of the application's own becomes a 503. Every other error stays what it was. Stands first in
    MIDDLEWARE; sync and async. A request by an unsafe method opens the writer's session where there is none, for
    that one knows the mode. Where the drain ends the session that the request wrote through, it goes on
    read-only.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        refuse_without_app(f"{__name__}.{type(self).__name__}")
        # Every server loads this.
        announcing.say_process()
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
            # Django asks each instance, and would run a synchronous one in a thread, for every request.
            self.process_view = self._process_view  # type: ignore[assignment,method-assign]  # Django asks instances
        got_request_exception.connect(_note_refusal, dispatch_uid="readonly_router")
        # Of a refusal in another middleware Django logs an error, which it mails to ADMINS, before we see it.
        logging.getLogger("django.request").addFilter(_is_no_refusal)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._asynchronous(request)
        _look(request)
        with _prepared(request):
            response = _finish(request, cast(HttpResponseBase, self.get_response(request)))
            return streams.drawn(response, _refuse(request, response)) if _is_drawn(response) else response

    async def _asynchronous(self, request: HttpRequest) -> HttpResponseBase:
        if _is_worth_a_thread(request):
            # The connections of asynchronous views live in the thread that runs their synchronous code.
            await sync_to_async(_look)(request)
        with _prepared(request):
            response = _finish(request, await cast(Awaitable[HttpResponseBase], self.get_response(request)))
            return await streams.adrawn(response, _refuse(request, response)) if _is_drawn(response) else response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], _args: Any, _kwargs: Any
    ) -> HttpResponseBase | None:
        """Answer an unsafe method before the view runs: it may charge a card before its INSERT is refused."""
        visitors.take_session(request)
        if request.method in SAFE or not is_read_only() or conf.unsafe_methods() != "refuse":
            return None
        if is_exempt(request, view):
            return None
        bodies.discard(request)
        return unavailable(request, _status())

    async def _process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        return ReadOnlyMiddleware.process_view(self, request, view, args, kwargs)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Answer a refusal that the view let through, and a twin that cannot log in."""
        return _refusal(request, error) if _is_answered(error) else None


def _status() -> Status:
    return mode.get_status(conf.primary())


def _look(request: HttpRequest) -> None:
    # A request that is to write must know before it does anything else; one that reads may never ask the database.
    begin_request()
    look = resolve if request.method in SAFE else meet
    for alias in conf.twins():
        look(alias)


def _is_worth_a_thread(request: HttpRequest) -> bool:
    """Return whether a look may bring news: Django gives an asynchronous request a thread without connections."""
    if not mode.follows():
        return False
    if is_read_only():
        return followers.of(conf.primary()).is_due
    return request.method not in SAFE


@contextmanager
def _prepared(request: HttpRequest) -> Iterator[None]:
    """Keep the mode for a request, and make it what the mode says it is."""
    token = mode.pin(conf.twins())
    try:
        if is_read_only():
            visitors.prepare(request)
        with serving(request):
            yield
    finally:
        mode.unpin(token)


def _finish(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Replace the 500 that Django made of a refusal in another middleware, and mark what the mode served."""
    error = getattr(request, _REFUSAL, None)
    if error is not None and response.status_code >= 500:
        return _refuse(request, response)(error)
    if is_read_only():
        visitors.finish(request, response)
        mark(response)
    return response


def _is_drawn(response: HttpResponseBase) -> bool:
    return streams.is_drawn(response) and is_read_only()


def _refuse(request: HttpRequest, instead_of: HttpResponseBase) -> streams.Refused:
    """Return what answers a refusal in the place of a response that is there already."""

    def refuse(error: Exception) -> HttpResponseBase:
        response = _refusal(request, error)
        # What the other response holds is closed with this one: closing it now would end the request for signals.
        cast(Any, response)._resource_closers.extend(cast(Any, instead_of)._resource_closers)
        return response

    return refuse


def _is_answered(error: BaseException | None) -> bool:
    return is_unreachable(error) or refused.is_of_the_mode(error)


def _refusal(request: HttpRequest, error: Exception) -> HttpResponseBase:
    if isinstance(error, TwinLoginError | SessionEndedError):
        return unreachable(request)
    refused.note(request, error)
    return unavailable(request, _status())


def _is_no_refusal(record: logging.LogRecord) -> bool:
    return not (record.exc_info and _is_answered(record.exc_info[1]))


def _note_refusal(request: HttpRequest | None = None, **_: Any) -> None:
    """Keep a refusal that no view raised, such as one of a session that is saved after it."""
    error = sys.exc_info()[1]
    if request is not None and _is_answered(error):
        setattr(request, _REFUSAL, error)
