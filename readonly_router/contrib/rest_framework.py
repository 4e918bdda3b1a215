"""Django REST framework: a refusal as problem details in its own renderers, and a browsable API without forms."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.response import Response

from ..errors import ReadOnlyError
from ..http import refused
from ..http.exemptions import is_exempt, is_marked
from ..http.responses import HEADER, PROBLEM, VALUE, problem
from ..http.window import window


class ReadOnlyUnavailable(APIException):  # type: ignore[misc]  # REST framework has no types
    """The API is read-only at the moment."""

    status_code = 503
    default_detail = _("This site is read-only at the moment: it can be read, but nothing can be saved.")
    default_code = "read_only"


class ReadOnlyPermission(BasePermission):  # type: ignore[misc]  # REST framework has no types
    """Refuse unsafe methods with 503 while read-only, but for exempt views; forms vanish from the API's pages."""

    def has_permission(self, request: Any, view: Any) -> bool:
        safe = request.method in SAFE_METHODS or not window()
        if not safe and not _is_exempt(request, view):
            raise ReadOnlyUnavailable
        return True


def _is_exempt(request: Any, view: Any) -> bool:
    # A viewset knows its action only as an instance.
    handler = getattr(view, getattr(view, "action", None) or request.method.lower(), None)
    return is_marked(handler) or is_exempt(request._request, type(view))


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer refusals with 503 and problem details; every other error goes to REST framework's own handler.

    For `EXCEPTION_HANDLER` in `REST_FRAMEWORK`. https://www.rfc-editor.org/rfc/rfc9457
    """
    if not (isinstance(error, ReadOnlyUnavailable) or refused.is_of_the_mode(error)):
        # Its module asks for the default permissions as it is imported, and so for this one.
        from rest_framework.views import exception_handler as plain  # noqa: PLC0415 - it imports this module

        return plain(error, context)
    request = context["request"]
    if isinstance(error, ReadOnlyError):
        refused.note(request._request, error)
    now = window()
    response = Response(problem(now), status=ReadOnlyUnavailable.status_code)
    response["Retry-After"] = str(now.retry_after)
    response["Cache-Control"] = "no-store"
    response[HEADER] = VALUE
    renderer = getattr(request, "accepted_renderer", None)
    if getattr(renderer, "format", "json") == "json":
        response.content_type = PROBLEM
    return response
