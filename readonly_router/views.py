"""Two endpoints that never write: how the mode stands, for banners; whether the site is well, for balancers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.db import DatabaseError, connections
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from . import conf
from .connections import get_status
from .errors import ReadOnlyRouterError
from .http.responses import retry_after, shown_reason


@require_safe
@cache_control(public=True, max_age=1)
def status(_request: HttpRequest) -> JsonResponse:
    """Tell how the mode stands: `read_only`, `reason`, `since` and `eta` (ISO 8601), `retry_after` in seconds."""
    return JsonResponse(_facts())


@require_safe
@cache_control(public=True, max_age=1)
def health(_request: HttpRequest) -> JsonResponse:
    """Tell whether the database answers: 200 also while read-only, for a load balancer must keep such a node."""
    try:
        with connections[conf.primary()].cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, ReadOnlyRouterError):
        return JsonResponse({"status": "unavailable"}, status=HTTPStatus.SERVICE_UNAVAILABLE)
    return JsonResponse({"status": "ok", "read_only": get_status(conf.primary()).read_only})


def _facts() -> dict[str, Any]:
    found = get_status(conf.primary())
    return {
        "read_only": found.read_only,
        "reason": shown_reason(found),
        "since": found.since.isoformat() if found.since else None,
        "eta": found.eta.isoformat() if found.eta else None,
        "retry_after": retry_after(found) if found.read_only else None,
    }
