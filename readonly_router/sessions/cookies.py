"""A session engine for the window: new and changed sessions live in a signed cookie until they can be stored."""

from __future__ import annotations

import logging
import secrets
import time
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.core import signing
from django.db import DatabaseError
from django.utils.crypto import salted_hmac

from .. import conf, mode
from ..errors import SessionTooLargeError
from ..http.request_mode import is_read_only, is_safe_request
from . import signed_out
from .plain import lose

if TYPE_CHECKING:
    _Store = SessionBase
else:
    _Store = object

logger = logging.getLogger("readonly_router.sessions")

# What marks a session key as a session itself. No key of a store holds a colon.
PREFIX = "ro:"
# Where Django keeps who is signed in (django.contrib.auth.SESSION_KEY, which needs its models).
USER = "_auth_user_id"
# What begins the key of a stored session that came out of a cookie.
ADOPTED = "adopted"
SALT = signed_out.SALT
# Browsers keep 4096 bytes of a cookie, its name and attributes included.
# https://www.rfc-editor.org/rfc/rfc6265#section-6.1
LARGEST = 3800
# How long after its last change a cookie session is still taken into the store.
ADOPT_SECONDS = 24 * 3600
# What a store keeps in place of a session that ended, so that its cookie is not taken in again.
TOMBSTONE = "_readonly_router_ended"


@lru_cache
def over(engine: str) -> type[SessionBase]:
    """Return the store of an engine, with cookies while read-only. Its name is part of how sessions are signed."""
    store = import_module(engine).SessionStore
    names = {"__module__": __package__, "__qualname__": store.__qualname__}
    return type(store.__name__, (CookieSessions, store), names)


class CookieSessions(_Store):
    """The project's session store; while the site is read-only, signed cookies that begin where its sessions are.

    A cookie session is trusted in the window it was made in, until it expires, and not after it was signed out (as
    far as the cache is shared and kept), nor while the cache fails; Django itself refuses it once its user's
    password changed. After the window, within a day of its last change, it is taken into the store, also where its
    row was deleted meanwhile. As with Django's own signed cookies its visitor can read it, and send an older one.
    """

    keeps_cookies = True

    def __init__(self, session_key: str | None = None) -> None:
        # PostgreSQL's texts hold no NUL, and a cookie may: a visitor's own would be a 500.
        super().__init__(None if "\0" in (session_key or "") else session_key)
        # The cookie session's identity, and the stored session that it takes the place of.
        self._identity = ""
        self._began_from: str | None = None
        # Who was signed in as it was loaded.
        self._user: Any = None

    # -- reading

    def load(self) -> dict[str, Any]:
        data = self._loaded()
        self._user = data.get(USER)
        return data

    def _loaded(self) -> dict[str, Any]:
        key = self.session_key or ""
        if not key.startswith(PREFIX):
            return self._stored()
        found = self._opened(key)
        if found is None:
            return self._unknown()
        ended = signed_out.is_noted(found["id"])
        if ended is None:
            return {}  # nobody's for now; its browser keeps the cookie
        if ended:
            return self._unknown()
        return self._of_this_window(found) if is_read_only() else self._taken_in(found)

    def _unknown(self) -> dict[str, Any]:
        self._session_key = None
        return {}

    def _stored(self) -> dict[str, Any]:
        key = self.session_key
        data: dict[str, Any] = super().load()
        if TOMBSTONE in data:
            return self._unknown()
        if key and data and signed_out.is_noted(key):
            # During the window, when the store could not forget it.
            if not is_read_only():
                super().delete(key)
            return self._unknown()
        return data

    def _of_this_window(self, found: dict[str, Any]) -> dict[str, Any]:
        if found["window"] != _window():
            return self._unknown()
        self._identity, self._began_from = found["id"], found["from"]
        return dict(found["data"])

    def _taken_in(self, found: dict[str, Any]) -> dict[str, Any]:
        """Store what the cookie holds, under a key of the cookie's own: a second use finds what became of it."""
        keys = _adopted_keys(found["id"])
        stored = [key for key in keys if self._is_in_store(key)]
        self._session_key = stored[0] if stored else keys[0]
        if not stored:
            self._adopt(found)
        self.modified = True  # the cookie is to hold the key from now on
        return self._stored()

    def _adopt(self, found: dict[str, Any]) -> None:
        self._session_cache = found["data"]
        try:
            super().save(must_create=True)
        except CreateError:
            return  # by another request of the same browser
        if found["from"]:
            super().delete(found["from"])

    def exists(self, session_key: str) -> bool:
        return not session_key.startswith(PREFIX) and self._is_in_store(session_key)

    def _is_in_store(self, key: str) -> bool:
        return bool(super().exists(key))

    # -- writing

    def save(self, must_create: bool = False) -> None:
        if is_read_only():
            self._seal(must_create)
            return
        if (self.session_key or "").startswith(PREFIX):
            self._session_key = None  # made in a window that ended meanwhile
        try:
            super().save(must_create=must_create)
        except (DatabaseError, UpdateError):
            if not is_read_only():
                raise
            self._seal(must_create)  # the refusal was the news

    def create(self) -> None:
        if not is_read_only():
            super().create()
            return
        self._note_beginning()
        self._identity, self._session_key = "", None
        self._seal(must_create=True)
        self.modified = True

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is None:
            return
        if key == self.session_key:
            # What is written after this is another session.
            self._identity, self._began_from = "", None
        if is_read_only():
            self._sign_out(key)
            return
        keys = [key]
        if key.startswith(PREFIX):
            found = self._opened(key)
            keys = _adopted_keys(found["id"]) if found else []
        for each in keys:
            super().delete(each)
        if keys and keys[0].startswith(ADOPTED):
            self._bury(keys[0])

    def _sign_out(self, key: str) -> None:
        found = self._opened(key) or {} if key.startswith(PREFIX) else {"id": key if self._was_stored(key) else ""}
        age = max(int(conf.of_the_project("SESSION_COOKIE_AGE")), ADOPT_SECONDS)
        for identity in (found.get("id"), found.get("from")):
            if identity:
                signed_out.note(identity, seconds=age)

    def _was_stored(self, key: str) -> bool:
        """Return whether a key is of the store; of each that a visitor makes up the cache would keep a note."""
        try:
            return self._is_in_store(key)
        except Exception:  # noqa: BLE001 - each store has errors of its own, and a sign-out that is lost is worse
            return True

    def _bury(self, key: str) -> None:
        grave = type(self)(key)
        grave._session_cache = {TOMBSTONE: True}
        try:
            super(CookieSessions, grave).save(must_create=True)
        except CreateError:
            return  # by another request

    # -- the cookie

    def _note_beginning(self) -> None:
        key = self.session_key or ""
        if key and not key.startswith(PREFIX):
            self._began_from = key

    def _seal(self, must_create: bool) -> None:
        # Django's, which its stubs leave out.
        data = self._get_session(no_load=must_create)  # type: ignore[attr-defined]  # not in the stubs
        self._note_beginning()
        self._identity = self._identity or secrets.token_urlsafe(16)
        sealed = PREFIX + signing.dumps(
            {
                "data": data,
                "id": self._identity,
                "from": self._began_from,
                "window": _window(),
                "until": time.time() + self.get_expiry_age(),
            },
            salt=SALT,
            serializer=self.serializer,
            compress=True,
        )
        if len(sealed) <= LARGEST:
            self._session_key = sealed
        else:
            self._refuse_too_large(len(sealed))

    def _refuse_too_large(self, size: int) -> None:
        message = (
            f"A session of {size} bytes does not fit into a cookie ({LARGEST}) while the site is read-only; keep "
            "less in it, or keep sessions in a cache outside the database."
        )
        signs_in = self._get_session(no_load=True).get(USER) != self._user  # type: ignore[attr-defined]  # Django's, not in its stubs
        if signs_in or not is_safe_request():
            raise SessionTooLargeError(message)
        # A page that is only read stays readable: the session is as it was before.
        logger.warning("%s What was changed in it is lost.", message)
        lose(self)

    def _opened(self, key: str) -> dict[str, Any] | None:
        """Return what a cookie session holds; None when it is not ours, or too old."""
        limit = None if is_read_only() else ADOPT_SECONDS
        try:
            found: dict[str, Any] = signing.loads(
                key.removeprefix(PREFIX), salt=SALT, serializer=self.serializer, max_age=limit
            )
        except (signing.BadSignature, ValueError):
            return None
        return found if found["until"] > time.time() else None

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


def _window() -> str:
    """Return what tells one window from another: when the switch was thrown, or that the process says so."""
    switch = mode.switch(conf.primary())
    return switch.since.isoformat() if switch is not None and switch.since else "process"


def _adopted_keys(identity: str) -> list[str]:
    """Return the keys of the store under which a cookie session may be, by SECRET_KEY and by each fallback.

    With the secret, for whoever reads an old cookie must not learn from it the key of what became of it.
    """
    secrets_known = (conf.of_the_project("SECRET_KEY"), *conf.of_the_project("SECRET_KEY_FALLBACKS"))
    digests = (salted_hmac(SALT, identity, secret=each, algorithm="sha256") for each in secrets_known)
    return [ADOPTED + digest.hexdigest()[: 32 - len(ADOPTED)] for digest in digests]
