"""Django's own database sessions while read-only: what changes them is dropped and logged, and never a 500."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from .request_mode import is_read_only, is_safe_request, is_served

logger = logging.getLogger("readonly_router.sessions")

_MARK = "tolerates_read_only"
# On a session whose new key was never stored: its cookie would lead nowhere.
NOT_STORED = "_readonly_router_not_stored"


def install() -> None:
    """Make Django's database sessions, and those that build on them, tolerate the mode. Idempotent."""
    from django.contrib.sessions.backends.db import SessionStore  # noqa: PLC0415 - nothing at import

    for name in ("save", "create", "delete"):
        _wrap(SessionStore, name, _tolerant)
        _wrap(SessionStore, f"a{name}", _tolerant_async)


def _wrap(kind: Any, name: str, tolerant: Callable[[Any], Any]) -> None:
    plain = getattr(kind, name)
    if not getattr(plain, _MARK, False):
        wrapper = tolerant(plain)
        setattr(wrapper, _MARK, True)
        setattr(kind, name, wrapper)


def _tolerant(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def tolerant(self: Any, *args: Any, **kwargs: Any) -> Any:
        return None if _dropped(self, plain.__name__) else plain(self, *args, **kwargs)

    return tolerant


def _tolerant_async(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    async def tolerant(self: Any, *args: Any, **kwargs: Any) -> Any:
        return None if _dropped(self, plain.__name__) else await plain(self, *args, **kwargs)

    return tolerant


def _dropped(session: Any, name: str) -> bool:
    """Tell whether a change is dropped: never a new session of a POST, for signing in must not seem to work."""
    if not is_served() or not is_read_only():
        return False  # in a shell or a task PostgreSQL refuses it, as every write
    creates = name.endswith("create") or session.session_key is None
    if creates and not name.endswith("delete"):
        if not is_safe_request():
            return False
        if session.session_key is None:
            setattr(session, NOT_STORED, True)
    logger.info("A session was not changed (%s): the site is read-only.", name)
    return True
