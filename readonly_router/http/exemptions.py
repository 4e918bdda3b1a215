"""Which requests are let through in read-only mode although their method is unsafe."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from django.http import HttpRequest

from .. import conf
from ..errors import ConfigurationError
from ..escaping import shortened

V = TypeVar("V", bound=Callable[..., Any] | type)

_MARK = "allowed_in_read_only"
# Signing in and out, and the switch's own off: what a read-only site must still offer.
_ALWAYS = {
    "django.contrib.auth.views.LoginView",
    "django.contrib.auth.views.LogoutView",
    "django.contrib.admin.sites.AdminSite.login",
    "django.contrib.admin.sites.AdminSite.logout",
    "django.views.i18n.set_language",
}


def allow_in_read_only(view: V) -> V:
    """Let a view run in read-only mode whatever the request's method: a function, a class, or a method of a class.

    What it writes is refused by PostgreSQL, as everywhere; use it where a POST reads (a search, a GraphQL query).
    """
    setattr(view, _MARK, True)
    return view


def is_exempt(request: HttpRequest, view: Callable[..., Any] | None) -> bool:
    """Return whether the request is let through: by its view, by the name of its URL or by its path."""
    handler = _handler(view, request)
    return any(_is_allowed(each, handler) for each in standing_behind(view)) or _is_listed(request)


def _handler(view: Any, request: HttpRequest) -> str:
    """Return the name of the method that would serve the request in a class; a viewset maps methods to actions."""
    method = (request.method or "").lower()
    actions = getattr(view, "actions", None)
    return str(actions.get(method, method)) if isinstance(actions, dict) else method


def standing_behind(view: Any) -> Iterator[Any]:
    """Return what stands behind a URL: the function, what it wraps, and its class (Django's, or a viewset)."""
    while view is not None:
        yield view
        for name in ("view_class", "cls"):
            if (found := getattr(view, name, None)) is not None:
                yield found
        view = getattr(view, "__wrapped__", None) or getattr(view, "func", None)  # a functools.partial


def _is_allowed(view: Any, handler: str) -> bool:
    if is_marked(view) or not _ALWAYS.isdisjoint(_names(view)):
        return True
    return isinstance(view, type) and is_marked(getattr(view, handler, None))


def is_marked(view: Any) -> bool:
    """Return whether `allow_in_read_only` decorates a function or class."""
    return bool(getattr(view, _MARK, False))


def _names(view: Any) -> Iterator[str]:
    """Return the dotted paths of a function, of a class and its bases, or of a method in each of its classes."""
    if isinstance(view, type):
        yield from map(_path, view.__mro__)
    elif (owner := getattr(view, "__self__", None)) is not None:
        yield from (f"{_path(kind)}.{getattr(view, '__name__', '')}" for kind in type(owner).__mro__)
    else:
        yield _path(view)


def _path(found: Any) -> str:
    return f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"


def _is_listed(request: HttpRequest) -> bool:
    # The whole name, as reverse() takes it: a part of it would let others through.
    name = request.resolver_match.view_name if request.resolver_match is not None else ""
    listed = tuple(conf.exempt())
    return name in listed or any(pattern.match(request.path_info) for pattern in _patterns(listed))


def check_patterns() -> None:
    """Raise ConfigurationError for a pattern of READONLY_ROUTER_EXEMPT that is none."""
    _patterns(tuple(conf.exempt()))


@lru_cache(maxsize=4)
def _patterns(listed: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(map(_pattern, (each for each in listed if each.startswith(("^", "/")))))


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigurationError(
            f"READONLY_ROUTER_EXEMPT names the path pattern {shortened(text)}, which is no regular expression "
            f"({error})."
        ) from None
