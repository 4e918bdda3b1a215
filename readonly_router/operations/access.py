"""Who may do what in the operators' pages, by permissions of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

SEE, SWITCH, MIGRATE = "readonly_router.view_event", "readonly_router.switch", "readonly_router.migrate"

View = Callable[..., HttpResponseBase]


def may_see(user: Any) -> bool:
    """Return whether somebody may see how the switch stands."""
    return bool(user.has_perm(SEE) or may_switch(user))


def may_switch(user: Any) -> bool:
    """Return whether somebody may throw the switch."""
    return bool(user.has_perm(SWITCH))


def may_migrate(user: Any) -> bool:
    """Return whether somebody may see and run unapplied migrations."""
    return bool(user.has_perm(MIGRATE))


def only(may: Callable[[Any], bool]) -> Callable[[View], View]:
    """Let a view run for those users alone; everybody else gets Django's 403."""

    def decorate(view: View) -> View:
        @wraps(view)
        def permitted(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not may(request.user):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return permitted

    return decorate
