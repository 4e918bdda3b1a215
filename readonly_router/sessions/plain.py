"""Session engines that write to the database, while read-only: changes are dropped and logged, never a 500."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any

from django.contrib.sessions.backends.base import UpdateError
from django.db import DatabaseError
from django.http import HttpRequest

from .. import conf
from ..connections.refusals import READ_ONLY_TRANSACTION
from ..errors import ReadOnlyError
from ..http.request_mode import is_read_only, is_served

logger = logging.getLogger("readonly_router.sessions")

_MARK = "tolerates_read_only"
# On the class of an engine: that PostgreSQL refused it once, so that it need not be asked again.
_WRITES = "_readonly_router_writes"
# On a session: that a new one was asked for and is not stored.
_LOST = "_readonly_router_lost"


def install() -> None:
    """Make the project's session engine tolerate refusals in requests. Idempotent.

    Not ours, which stores nothing while read-only.
    """
    kind = import_module(str(conf.of_the_project("SESSION_ENGINE"))).SessionStore
    if getattr(kind, "keeps_cookies", False):
        return
    for name in ("save", "create", "delete"):
        _wrap(kind, name, _tolerant)
        _wrap(kind, f"a{name}", _tolerant_async)


def is_lost(session: Any) -> bool:
    """Return whether a session was asked for that could not be stored: its cookie would lead nowhere."""
    return bool(getattr(session, _LOST, False))


def lose(session: Any) -> None:
    """Note that a session was asked for that is not stored."""
    setattr(session, _LOST, True)


def refuse_lost_sign_in(request: HttpRequest | None = None, **_: Any) -> None:
    """Raise ReadOnlyError where a user signed in to a session that cannot be stored: it must not seem to work."""
    session = getattr(request, "session", None)
    if session is None or not (is_served() and is_read_only()):
        return
    if session.session_key is None:
        session.save()
    if is_lost(session):
        raise ReadOnlyError.of(
            "Nobody can sign in while the site is read-only, for its sessions are kept in the database; "
            "set SESSION_ENGINE = 'readonly_router.sessions'.",
            alias=conf.primary(),
            sqlstate=READ_ONLY_TRANSACTION,
        )


def _wrap(kind: Any, name: str, tolerant: Callable[[Any], Any]) -> None:
    plain = getattr(kind, name)
    if not getattr(plain, _MARK, False):
        wrapper = tolerant(plain)
        setattr(wrapper, _MARK, True)
        setattr(kind, name, wrapper)


def _tolerant(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def tolerant(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_outermost(self, plain):
            return plain(self, *args, **kwargs)
        before = self.session_key
        if not _is_refused(self):
            try:
                return _kept(self, plain(self, *args, **kwargs), before)
            except (DatabaseError, UpdateError) as error:
                _note(self, error)
        return _drop(self, plain.__name__, before, *args, **kwargs)

    return tolerant


def _tolerant_async(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    async def tolerant(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_outermost(self, plain):
            return await plain(self, *args, **kwargs)
        before = self.session_key
        if not _is_refused(self):
            try:
                return _kept(self, await plain(self, *args, **kwargs), before)
            except (DatabaseError, UpdateError) as error:
                _note(self, error)
        return _drop(self, plain.__name__.removeprefix("a"), before, *args, **kwargs)

    return tolerant


def _is_outermost(session: Any, plain: Callable[..., Any]) -> bool:
    """Return whether the method is the session's own, and not the one of an engine that it builds on."""
    return getattr(getattr(type(session), plain.__name__), "__wrapped__", None) is plain


def _is_refused(session: Any) -> bool:
    """Return whether the engine is known to be refused here; in a shell or a task PostgreSQL says so itself."""
    return is_served() and is_read_only() and _WRITES in vars(type(session))


def _note(session: Any, error: BaseException) -> None:
    """Remember that the engine writes to the database, if that is what the error says; else raise it."""
    # Django tells a refused UPDATE of a session as an error of its own, raised while ours was handled.
    refused = error.__context__ if isinstance(error, UpdateError) else error
    if not (isinstance(refused, ReadOnlyError) and is_served() and is_read_only()):
        raise error
    setattr(type(session), _WRITES, True)


def _kept(session: Any, result: Any, before: str | None) -> Any:
    """Return the result of a call that succeeded, or whose own call of another of the methods was dropped."""
    if is_lost(session):
        session._session_key = before
    return result


def _drop(session: Any, name: str, before: str | None, must_create: bool = False, **_: Any) -> None:
    session._session_key = before
    if name == "create" or (name == "save" and (must_create is True or before is None)):
        lose(session)
    logger.info("The %s of a session was dropped: the site is read-only.", name)
