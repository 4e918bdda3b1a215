"""What the request at hand may do while read-only, for code that does not see the request: sessions, signals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import HttpRequest

from .. import conf, mode

# https://www.rfc-editor.org/rfc/rfc9110#name-safe-methods
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

_WRITABLE = "_readonly_router_began_writable"
# None where no request of ours is served: a shell, a task, a project without the middleware.
_safe: ContextVar[bool | None] = ContextVar("readonly_router_safe", default=None)


def is_read_only() -> bool:
    """Return whether the request at hand is read-only."""
    return mode.is_read_only(conf.primary())


def is_served() -> bool:
    """Return whether a request is served at all."""
    return _safe.get() is not None


def is_safe_request() -> bool:
    """Return whether a request is served whose method only reads."""
    return _safe.get() is True


def began_writable(request: HttpRequest) -> bool:
    """Return whether the request may have written before it was refused: the switch came in its middle."""
    return bool(getattr(request, _WRITABLE, False))


def in_part(request: HttpRequest) -> bool:
    """Return whether what was sent may have been saved in part."""
    return request.method not in SAFE and began_writable(request)


@contextmanager
def serving(request: HttpRequest) -> Iterator[None]:
    """Keep what the request is for the code it runs."""
    setattr(request, _WRITABLE, not is_read_only())
    token = _safe.set(request.method in SAFE)
    try:
        yield
    finally:
        _safe.reset(token)
