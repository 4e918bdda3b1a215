"""A session engine for the window: new and changed sessions live in a signed cookie until they can be stored."""

from __future__ import annotations

import secrets
import time
from importlib import import_module
from typing import Any

from asgiref.sync import sync_to_async
from django.core import signing
from django.core.cache import cache
from django.utils.crypto import salted_hmac

from . import conf, mode
from .errors import SessionTooLargeError
from .request_mode import is_read_only

# What marks a session key as a session itself. No key of a store holds a colon.
PREFIX = "ro:"
SALT = "readonly_router.sessions"
# Browsers keep 4096 bytes of a cookie, its name and attributes included.
# https://www.rfc-editor.org/rfc/rfc6265#section-6.1
LARGEST = 3800
# How long after the window a cookie session is still taken into the store.
ADOPT_SECONDS = 24 * 3600
# What a store keeps in place of a session that was signed out, so that its cookie is not taken in again.
TOMBSTONE = "_readonly_router_signed_out"
# The identity of the cookie session that a stored one came from.
ORIGIN = "_readonly_router_origin"

Store: Any = import_module(conf.session_store()).SessionStore


class SessionStore(Store):  # type: ignore[misc]  # the store is the project's choice
    """The project's session store; while the site is read-only, signed cookies that begin where its sessions are.

    A cookie session is trusted in the window it was made in, and not after it was signed out (as far as the cache
    is shared); Django itself refuses it once its user's password changed. After the window it is taken into the
    store, once, within a day.
    """

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        # The cookie session's identity, and the stored session it began from.
        self._origin = ""
        self._began_from: str | None = None

    # -- reading

    def load(self) -> dict[str, Any]:
        key = self.session_key or ""
        if not key.startswith(PREFIX):
            return self._stored(key)
        found = _opened(key)
        if found is None or _is_signed_out(found["id"]):
            return self._unknown()
        if is_read_only():
            return self._of_this_window(found)
        return self._taken_in(found)

    def _unknown(self) -> dict[str, Any]:
        self._session_key: str | None = None
        return {}

    def _stored(self, key: str) -> dict[str, Any]:
        if key and _is_signed_out(key):
            if not is_read_only():
                super().delete(key)
            return self._unknown()
        data: dict[str, Any] = super().load()
        return {} if TOMBSTONE in data else data

    def _of_this_window(self, found: dict[str, Any]) -> dict[str, Any]:
        if found["window"] != _window():
            return self._unknown()
        self._origin, self._began_from = found["id"], found["from"]
        return dict(self.decode(found["data"]))

    def _taken_in(self, found: dict[str, Any]) -> dict[str, Any]:
        """Store what the cookie holds, under a key of its own: a second use finds what became of it."""
        key = salted_hmac(SALT, found["id"]).hexdigest()[:32]
        self._session_key = key
        if not super().exists(key):
            if found["from"]:
                super().delete(found["from"])
            data = {**self.decode(found["data"]), ORIGIN: found["id"]}
            self._session_cache = data
            super().save(must_create=True)
        self.modified = True  # the cookie is to hold the key from now on
        return self._stored(key)

    def exists(self, session_key: str) -> bool:
        return not session_key.startswith(PREFIX) and bool(super().exists(session_key))

    # -- writing

    def save(self, must_create: bool = False) -> None:
        if not is_read_only():
            super().save(must_create=must_create)
            return
        key = self.session_key or ""
        if not key.startswith(PREFIX):
            self._began_from = self._began_from or key or None
        self._origin = self._origin or secrets.token_urlsafe(16)
        self._session_key = self._sealed(self._get_session(no_load=must_create))

    def create(self) -> None:
        if not is_read_only():
            super().create()
            return
        self._origin, self._session_key = secrets.token_urlsafe(16), None
        self.save(must_create=True)
        self.modified = True

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is None:
            return
        if is_read_only():
            self._sign_out(key)
        elif not key.startswith(PREFIX):
            self._bury(key)

    def _sign_out(self, key: str) -> None:
        found = (_opened(key) or {}) if key.startswith(PREFIX) else {"id": key}
        for identity in (found.get("id"), found.get("from")):
            if identity:
                _note_signed_out(identity)

    def _bury(self, key: str) -> None:
        origin = self.get(ORIGIN)
        super().delete(key)
        if origin:
            grave = Store(key)
            grave._session_cache = {TOMBSTONE: True}
            grave.save(must_create=True)

    def _sealed(self, data: dict[str, Any]) -> str:
        sealed = PREFIX + signing.dumps(
            {
                "data": self.encode(data),
                "id": self._origin,
                "from": self._began_from,
                "window": _window(),
            },
            salt=SALT,
            compress=True,
        )
        if len(sealed) > LARGEST:
            raise SessionTooLargeError(
                f"A session of {len(sealed)} bytes does not fit into a cookie ({LARGEST}) while the site is "
                "read-only; keep less in it, or use a cache for sessions."
            )
        return sealed

    # -- the same for asynchronous code: Django's own would go past these methods.

    async def aload(self) -> dict[str, Any]:
        return await sync_to_async(self.load)()

    async def aexists(self, session_key: str) -> bool:
        return await sync_to_async(self.exists)(session_key)

    async def asave(self, must_create: bool = False) -> None:
        await sync_to_async(self.save)(must_create)

    async def acreate(self) -> None:
        await sync_to_async(self.create)()

    async def adelete(self, session_key: str | None = None) -> None:
        await sync_to_async(self.delete)(session_key)


def _opened(key: str) -> dict[str, Any] | None:
    """Return what a cookie session holds; None when it is not ours, or too old."""
    _, age = conf.session_cookies()
    try:
        return dict(signing.loads(key.removeprefix(PREFIX), salt=SALT, max_age=_age(age)))
    except (signing.BadSignature, ValueError, TypeError):
        return None


def _age(age: int) -> int:
    return age if is_read_only() else min(age, ADOPT_SECONDS)


def _window() -> str:
    """Return what tells one window from another: when the switch was thrown, or that the process says so."""
    switch = mode.switch(conf.primary())
    return switch.since.isoformat() if switch is not None and switch.since else "process"


def _note_signed_out(identity: str) -> None:
    _, age = conf.session_cookies()
    cache.set(_cache_key(identity), time.time(), timeout=age)


def _is_signed_out(identity: str) -> bool:
    return cache.get(_cache_key(identity)) is not None


def _cache_key(identity: str) -> str:
    return f"{SALT}:{salted_hmac(SALT, identity).hexdigest()}"
