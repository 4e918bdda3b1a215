"""A page that is sent while the work it tells of goes on in a thread of its own, under WSGI and ASGI."""

from __future__ import annotations

import asyncio
import logging
import queue
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import HttpRequest, StreamingHttpResponse
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.html import escape

from .. import conf
from ..errors import ReadOnlyRouterError
from ..switch.spec import Tell

logger = logging.getLogger("readonly_router.operations")

Work = Callable[[Tell], Mapping[str, Any]]

# Between two signs of life while the work says nothing: proxies give up on a silent answer.
SILENCE_SECONDS = 5.0
SIGN_OF_LIFE = "<!-- -->"
_END = None


class Running:
    """Work in a thread of its own: it goes on to its end, whoever has stopped listening.

    `told` is what the template of the result gets: what the work returned, or `error`, a text, and `error_lines`.
    """

    def __init__(self, work: Work, *, silence: float) -> None:
        self.told: Mapping[str, Any] = {}
        self._work, self._silence = work, silence
        self._said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="readonly_router.operations")

    def start(self) -> None:
        self._thread.start()

    def next_said(self) -> str | None:
        """Return what the work says next, empty after a silence; None is its end."""
        try:
            return self._said.get(timeout=self._silence)
        except queue.Empty:
            return ""

    def _run(self) -> None:
        try:
            self.told = self._work(self._said.put)
        except ReadOnlyRouterError as error:
            self.told = {"error": str(error), "error_lines": getattr(error, "sessions", ())}
        # Also a SystemExit, which would end this thread without a word.
        except BaseException as error:
            logger.exception("What an operator began failed.")
            self.told = {"error": f"{type(error).__name__}: {error}", "error_lines": ()}
        finally:
            connections.close_all()
            self._said.put(_END)


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page in three parts: before what is told, up to the result, and after it."""

    before: str
    between: str
    after: str
    result: str
    # Of the request: the parts after the first are sent when it is over.
    language: str = field(default_factory=lambda: translation.get_language() or "en")
    zone: Any = field(default_factory=timezone.get_current_timezone)

    def ending(self, told: Mapping[str, Any]) -> str:
        """Return the rest of the page once the work is done."""
        with ExitStack() as stack:
            stack.enter_context(translation.override(self.language))
            stack.enter_context(timezone.override(self.zone))
            return self.between + render_to_string(self.result, dict(told)) + self.after


def stream(
    request: HttpRequest, work: Work, *, template: str, result: str, context: dict[str, Any]
) -> StreamingHttpResponse:
    """Return a page of `template` that tells what the work says, line by line, and then its `result`."""
    page = _page(request, template, result, context)
    chunks: Any = sent_async(page, work) if isinstance(request, ASGIRequest) else sent(page, work)
    response = StreamingHttpResponse(chunks)
    # nginx keeps answers back otherwise. https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
    response["X-Accel-Buffering"] = "no"
    # And Django's GZipMiddleware, which leaves alone what says how it is encoded.
    response["Content-Encoding"] = "identity"
    return response


def _page(request: HttpRequest, template: str, result: str, context: dict[str, Any]) -> Page:
    marks = [f"{name}-{secrets.token_hex(8)}" for name in ("progress", "result")]
    html = render_to_string(template, {**context, "progress": marks[0], "result": marks[1]}, request=request)
    before, _, rest = html.partition(marks[0])
    between, _, after = rest.partition(marks[1])
    return Page(before=before, between=between, after=after, result=result)


def sent(page: Page, work: Work, *, silence: float = SILENCE_SECONDS) -> Iterator[str]:
    """Yield the page in parts; after `silence` seconds without a word a sign of life."""
    yield page.before
    leave_writers()
    running = Running(work, silence=silence)
    running.start()
    while (said := running.next_said()) is not _END:
        yield escape(said) if said else SIGN_OF_LIFE
    yield page.ending(running.told)


async def sent_async(page: Page, work: Work, *, silence: float = SILENCE_SECONDS) -> AsyncIterator[str]:
    """Yield the same for an asynchronous server."""
    yield page.before
    await sync_to_async(leave_writers)()
    running = Running(work, silence=silence)
    running.start()
    while (said := await asyncio.to_thread(running.next_said)) is not _END:
        yield escape(said) if said else SIGN_OF_LIFE
    yield page.ending(running.told)


def leave_writers() -> None:
    """Close this thread's own sessions of the writers: a drain would wait for them, and then end them."""
    for wrapper in connections.all(initialized_only=True):
        if wrapper.alias in conf.twins():
            wrapper.close()
