"""Two endpoints that never write: how the mode stands, for banners; whether the site is well, for balancers."""

from __future__ import annotations

from http import HTTPStatus

from django.db import DatabaseError, connections
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from . import conf
from .errors import ReadOnlyRouterError
from .http.window import window


@require_safe
@cache_control(public=True, max_age=1)
def status(_request: HttpRequest) -> JsonResponse:
    """Return how the mode stands: `read_only`, `reason`, `since` and `eta` (ISO 8601), `retry_after` in seconds.

    `known` is false, and `read_only` null, where this process knows nothing of the switch and cannot ask for it.
    """
    now = window()
    facts = {"known": now.known, "read_only": now.read_only if now.known else None, **now.as_json()}
    return JsonResponse(facts if now else {**facts, "retry_after": None})


@require_safe
@cache_control(public=True, max_age=1)
def health(_request: HttpRequest) -> JsonResponse:
    """Return whether the database answers: 200 also while read-only, for a load balancer must keep such a node."""
    try:
        with connections[conf.primary()].cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, ReadOnlyRouterError):
        return JsonResponse({"status": "unavailable"}, status=HTTPStatus.SERVICE_UNAVAILABLE)
    return JsonResponse({"status": "ok", "read_only": window().read_only})
