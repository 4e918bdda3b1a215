"""What the mode takes from a request before the site sees it: its method and body, or who sends it."""

from __future__ import annotations

import io
from typing import Any, cast

from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve
from django.utils import translation
from django.utils.cache import cc_delim_re

from . import conf
from .exemptions import is_exempt
from .plain_sessions import is_lost
from .request_mode import SAFE

_NOBODY = "_readonly_router_nobody"
# Whom a request is of: cookies, and what servers and clients say in their place.
_IDENTITY = ("HTTP_COOKIE", "HTTP_AUTHORIZATION", "REMOTE_USER", "HTTP_REMOTE_USER")
_OF_A_BODY = ("CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_ENCODING", "HTTP_EXPECT")
_OVERRIDES = ("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_HTTP_METHOD", "HTTP_X_METHOD_OVERRIDE")


def prepare(request: HttpRequest) -> None:
    """Make a request of read-only mode what the settings say it is, unless it is exempt."""
    as_get = request.method not in SAFE and conf.unsafe_methods() == "as_get"
    anonymous = conf.visitors_are_anonymous()
    if not (as_get or anonymous) or _will_be_exempt(request):
        return
    if as_get:
        _make_get(request)
    if anonymous:
        _make_nobodys(request)


def _will_be_exempt(request: HttpRequest) -> bool:
    """Tell whether the request is exempt before Django itself looks for its view."""
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
    request.method = "GET"
    request.META["REQUEST_METHOD"] = "GET"
    for name in (*_OF_A_BODY, *_OVERRIDES):
        request.META.pop(name, None)
    request.content_type, request.content_params = "", {}
    # Of a body's charset; Django parses the query string anew.
    request.encoding = None
    # Where Django keeps what it read; none of it is there for a GET.
    found = cast(Any, request)
    for name in ("_post", "_files", "_body"):
        found.__dict__.pop(name, None)
    found._stream, found._read_started = io.BytesIO(b""), False


def _make_nobodys(request: HttpRequest) -> None:
    """Take from a request whom it is of: its page can be cached for everybody."""
    for name in _IDENTITY:
        request.META.pop(name, None)
    # Both handlers keep them in this place once they are parsed.
    cast(Any, request).COOKIES = {}
    setattr(request, _NOBODY, True)


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
    kept = [name for name in cc_delim_re.split(response.get("Vary", "")) if name and name.lower() != "cookie"]
    del response["Vary"]
    if kept:
        response["Vary"] = ", ".join(kept)
