"""What the mode takes from a request before the site sees it: its method and body, or who sends it."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any, cast

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve
from django.utils import translation

from . import conf
from .http import bodies
from .http.exemptions import is_exempt
from .http.request_mode import SAFE
from .sessions.plain import is_lost, lose

_NOBODY = "_readonly_router_nobody"
# Whom a request is of: cookies, and what servers and clients say in their place.
_IDENTITY = ("HTTP_COOKIE", "HTTP_AUTHORIZATION", "REMOTE_USER", "HTTP_REMOTE_USER")
_OF_A_BODY = ("CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_ENCODING", "HTTP_EXPECT")
_OVERRIDES = ("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_HTTP_METHOD", "HTTP_X_METHOD_OVERRIDE")


def prepare(request: HttpRequest) -> None:
    """Make a request of read-only mode what the settings say it is, unless it is exempt."""
    as_get = request.method not in SAFE and conf.unsafe_methods() == "as_get"
    anonymous = conf.visitors_are_anonymous()
    spared = not (as_get or anonymous) or _will_be_exempt(request)
    if as_get and not spared:
        _make_get(request)
    if anonymous and not spared:
        _make_nobodys(request)
    else:
        request.__class__ = _uncached(cast(Any, type(request)))


@lru_cache
def _uncached(kind: Any) -> Any:
    """Return the class of requests whose pages Django's cache does not store: they tell of the window.

    Its middleware says on the request what to store; as cache_page it does so after every other middleware.
    """
    never = property(lambda _: False, lambda _, __: None)
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "_cache_update_cache": never}
    return type(kind.__name__, (kind,), names)


def _will_be_exempt(request: HttpRequest) -> bool:
    """Return whether the request is exempt before Django itself looks for its view."""
    # The middleware that chooses the language has not run, and the thread's may be another request's.
    language = translation.get_language_from_path(request.path_info) or conf.of_the_project("LANGUAGE_CODE")
    try:
        with translation.override(language):
            match = request.resolver_match = resolve(request.path_info)
    except Resolver404:
        match = None
    try:
        return is_exempt(request, match.func if match else None)
    finally:
        request.resolver_match = None


def _make_get(request: HttpRequest) -> None:
    """Make a request a GET without a body, as far as Django and its frameworks can tell."""
    bodies.discard(request)
    request.method = "GET"
    request.META["REQUEST_METHOD"] = "GET"
    for name in (*_OF_A_BODY, *_OVERRIDES):
        request.META.pop(name, None)
    request.content_type, request.content_params = "", {}
    # Where Django keeps what it read; none of it is there for a GET.
    found = cast(Any, request)
    # Of the body's charset: the query string is parsed anew.
    found.encoding = None
    for name in ("_post", "_files", "_body"):
        found.__dict__.pop(name, None)
    found._stream, found._read_started = io.BytesIO(b""), False


def _make_nobodys(request: HttpRequest) -> None:
    """Take from a request whom it is of: its page can be cached for everybody."""
    for name in _IDENTITY:
        request.META.pop(name, None)
    setattr(request, _NOBODY, True)


class NobodysSession(SessionBase):
    """A session that is kept nowhere."""

    def load(self) -> dict[str, Any]:
        return {}

    def exists(self, session_key: str) -> bool:  # noqa: ARG002 - Django's names, in these three
        return False

    def create(self) -> None:
        self.modified = True

    def save(self, must_create: bool = False) -> None:  # noqa: ARG002 - Django's signature
        lose(self)

    def delete(self, session_key: str | None = None) -> None:
        """Do nothing."""


def take_session(request: HttpRequest) -> None:
    """Keep from an anonymous request's view what the site's own session engine would store."""
    if getattr(request, _NOBODY, False) and hasattr(request, "session"):
        request.session = NobodysSession()


def finish(request: HttpRequest, response: HttpResponseBase) -> None:
    """Keep cookies from a visitor that would lead nowhere, or whom the page shall not know."""
    if is_lost(getattr(request, "session", None)):
        _without_session(request, response)
    if getattr(request, _NOBODY, False):
        response.cookies.clear()
        _without_cookies_in_vary(response)


def _without_session(request: HttpRequest, response: HttpResponseBase) -> None:
    """Take back the cookie of a session that was never stored; the former one ended, if there was one."""
    name = str(conf.of_the_project("SESSION_COOKIE_NAME"))
    if request.session.session_key is not None:
        return
    response.cookies.pop(name, None)
    if name in request.COOKIES:
        response.delete_cookie(
            name,
            path=conf.of_the_project("SESSION_COOKIE_PATH"),
            domain=conf.of_the_project("SESSION_COOKIE_DOMAIN"),
            samesite=conf.of_the_project("SESSION_COOKIE_SAMESITE"),
        )


def _without_cookies_in_vary(response: HttpResponseBase) -> None:
    names = (name.strip() for name in response.get("Vary", "").split(","))
    kept = [name for name in names if name and name.lower() != "cookie"]
    del response["Vary"]
    if kept:
        response["Vary"] = ", ".join(kept)
