"""Who signed out in the window, as the default cache knows it: a store cannot be told while read-only."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from typing import Any

from django.core.cache import cache

logger = logging.getLogger("readonly_router.sessions")

SALT = "readonly_router.sessions"
# How often a cache that fails is told of: each request asks it.
TELL_SECONDS = 60
# When that was last done, by this process.
_told: float | None = None
_telling = threading.Lock()


def note(identity: str, *, seconds: int) -> None:
    """Note for so many seconds that a session was signed out."""
    try:
        cache.set(_key(identity), True, timeout=seconds)
    except Exception as error:  # noqa: BLE001 - each cache has errors of its own
        _tell(error)
    if not is_noted(identity):
        logger.warning("The cache kept no note that a session was signed out; a copy of its cookie still works.")


def is_noted(identity: str) -> bool | None:
    """Return whether a session was signed out; None when the cache cannot tell."""
    try:
        found: Any = cache.get(_key(identity))
    except Exception as error:  # noqa: BLE001 - each cache has errors of its own
        _tell(error)
        return None
    return found is not None


def forget() -> None:
    """Know of no cache that failed; for tests."""
    global _told  # noqa: PLW0603 - a fact of the process
    _told = None


def _tell(error: Exception) -> None:
    """Log that the cache failed; what its error says may name a server, or hold what was sent to it."""
    if _is_due():
        logger.warning(
            "The default cache failed (%s): it cannot say who signed out while the site was read-only, so "
            "sessions of that window are not trusted until it answers.",
            type(error).__name__,
        )


def _is_due() -> bool:
    global _told  # noqa: PLW0603 - once a minute in a process
    with _telling:
        now = time.monotonic()
        due = _told is None or now - _told >= TELL_SECONDS
        if due:
            _told = now
    return due


def _key(identity: str) -> str:
    # Without SECRET_KEY: a note outlives its rotation. An identity is random, so its digest tells nothing of it.
    return f"{SALT}:{hashlib.sha256(identity.encode()).hexdigest()}"
