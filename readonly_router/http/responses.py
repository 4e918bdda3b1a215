"""The answer to a request that would write: 503 as a page, as problem+json, or as a fragment for HTMX."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timezone
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template import Context, Engine, TemplateDoesNotExist
from django.template.loader import get_template
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.http import escape_leading_slashes
from django.utils.translation import gettext as _

from .. import conf
from ..mode import Status

logger = logging.getLogger("readonly_router")

PAGE, FRAGMENT = "readonly_router/503.html", "readonly_router/fragment.html"
# A structured boolean. https://www.rfc-editor.org/rfc/rfc9651#name-booleans
HEADER, VALUE = "Read-Only", "?1"
PROBLEM = "application/problem+json"
_PAGES = ("text/html", "application/xhtml+xml")


def unavailable(request: HttpRequest, status: Status) -> HttpResponse:
    """Return the 503 in the form the client asked for, with Retry-After; nothing private is in it.

    https://www.rfc-editor.org/rfc/rfc9457
    """
    response = _form(request)(request, status)
    response["Retry-After"] = str(retry_after(status))
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ("Accept", "HX-Request", "HX-Boosted", "Accept-Language"))
    # Django logs a 5xx as an error, and mails it to ADMINS: not each request of a planned window.
    cast(Any, response)._has_been_logged = True
    mark(response)
    return response


def mark(response: HttpResponseBase) -> None:
    """Tell clients and caches that the response is of the read-only mode."""
    response[HEADER] = VALUE


def retry_after(status: Status) -> int:
    """Return the seconds until the window is expected to end."""
    if status.eta is None:
        return conf.retry_after()
    left = (status.eta - datetime.now(timezone.utc)).total_seconds()
    return max(1, round(left)) if left > 0 else conf.retry_after()


def problem(status: Status) -> dict[str, Any]:
    """Return the problem details of RFC 9457, with the window's reason and times as extensions."""
    return {
        "type": "about:blank",
        "title": HTTPStatus.SERVICE_UNAVAILABLE.phrase,
        "status": int(HTTPStatus.SERVICE_UNAVAILABLE),
        "detail": _("This site is read-only at the moment: it can be read, but nothing can be saved."),
        "reason": shown_reason(status),
        "since": status.since.isoformat() if status.since else None,
        "eta": status.eta.isoformat() if status.eta else None,
        "retry_after": retry_after(status),
    }


def shown_reason(status: Status) -> str:
    """Return the operator's words; what a process says of itself is for its logs, not for visitors."""
    return status.reason if status.source == "switch" else ""


def wants_html(request: HttpRequest) -> bool:
    """Tell whether the client prefers a page: API clients accept anything, and get JSON."""
    return request.get_preferred_type((PROBLEM, "application/json", *_PAGES)) in _PAGES


def _form(request: HttpRequest) -> Callable[[HttpRequest, Status], HttpResponse]:
    if request.headers.get("HX-Request") == "true":
        # https://htmx.org/reference/#request_headers
        whole = "true" in {request.headers.get(name) for name in ("HX-Boosted", "HX-History-Restore-Request")}
        return _page if whole else _fragment
    return _page if wants_html(request) else _problem


def _problem(_request: HttpRequest, status: Status) -> HttpResponse:
    return HttpResponse(json.dumps(problem(status)), content_type=PROBLEM, status=HTTPStatus.SERVICE_UNAVAILABLE)


def _page(request: HttpRequest, status: Status) -> HttpResponse:
    return HttpResponse(render(PAGE, context(request, status)), status=HTTPStatus.SERVICE_UNAVAILABLE)


def _fragment(request: HttpRequest, status: Status) -> HttpResponse:
    response = HttpResponse(render(FRAGMENT, context(request, status)), status=HTTPStatus.SERVICE_UNAVAILABLE)
    # htmx swaps no error by itself; an event lets a page show it. https://htmx.org/headers/hx-trigger/
    response["HX-Trigger"] = "read-only"
    return response


def context(request: HttpRequest, status: Status) -> dict[str, Any]:
    """Return what the templates show."""
    return {
        "reason": shown_reason(status),
        "since": status.since,
        "eta": status.eta if status.eta and status.eta > datetime.now(timezone.utc) else None,
        "retry_after": retry_after(status),
        "language": translation.get_language() or "en",
        "right_to_left": translation.get_language_bidi(),
        "sent": request.method not in {"GET", "HEAD"},
        "back": escape_leading_slashes(request.get_full_path()) if request.method in {"GET", "HEAD"} else "",
        "home": f"{request.META.get('SCRIPT_NAME', '').rstrip('/')}/",
    }


def render(name: str, values: dict[str, Any]) -> str:
    """Render a template without a request: no session, no user, no query. A project may override it."""
    try:
        return get_template(name).render(values)
    except Exception as error:
        # A project need not have it where it looks. Any other failure is worth its log, but no reason to answer a
        # planned window with a 500.
        if not (isinstance(error, TemplateDoesNotExist) and str(error) == name):
            logger.exception("The template %s failed; the package's own is shown.", name)
    return _engine().get_template(name).render(Context(values))


def _engine() -> Engine:
    return Engine(
        dirs=[str(Path(__file__).parents[1] / "templates")], libraries={"i18n": "django.templatetags.i18n"}
    )
