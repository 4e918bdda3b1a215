"""The answer to a request that would write: 503 as a page, as problem+json, or as a fragment for HTMX."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar, cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template import Context, Engine, TemplateDoesNotExist
from django.template.loader import get_template
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.http import escape_leading_slashes
from django.utils.translation import gettext as _

from ..mode import Status
from .nonce import nonce_of
from .request_mode import began_writable
from .window import Window, window_of

logger = logging.getLogger("readonly_router")

T = TypeVar("T")

PAGE, FRAGMENT = "readonly_router/503.html", "readonly_router/fragment.html"
# A structured boolean. https://www.rfc-editor.org/rfc/rfc9651#name-booleans
HEADER, VALUE = "Read-Only", "?1"
PROBLEM = "application/problem+json"
_PAGES = ("text/html", "application/xhtml+xml")


def unavailable(request: HttpRequest, status: Status) -> HttpResponse:
    """Return the 503 in the form the client asked for, with Retry-After; nothing private is in it.

    https://www.rfc-editor.org/rfc/rfc9457
    """
    form, window = chosen(request, page=_page, fragment=_fragment, problem=_problem), window_of(status)
    response = for_now(form(request, window), seconds=window.retry_after)
    mark(response)
    return response


def for_now(response: HttpResponse, *, seconds: int) -> HttpResponse:
    """Return a 503 as one that is over in so many seconds, and that nobody keeps."""
    response["Retry-After"] = str(seconds)
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ("Accept", "HX-Request", "HX-Boosted", "Accept-Language"))
    # Django logs a 5xx as an error, and mails it to ADMINS: not each request of a planned window.
    cast(Any, response)._has_been_logged = True
    return response


def mark(response: HttpResponseBase) -> None:
    """Tell clients and caches that the response is of the read-only mode."""
    response[HEADER] = VALUE


def problem(window: Window) -> dict[str, Any]:
    """Return the problem details of RFC 9457, with the window's reason and times as extensions."""
    return {
        "type": "about:blank",
        "title": HTTPStatus.SERVICE_UNAVAILABLE.phrase,
        "status": int(HTTPStatus.SERVICE_UNAVAILABLE),
        "detail": _("This site is read-only at the moment: it can be read, but nothing can be saved."),
        **window.as_json(),
    }


def wants_html(request: HttpRequest) -> bool:
    """Return whether the client prefers a page: API clients accept anything, and get JSON."""
    return request.get_preferred_type((PROBLEM, "application/json", *_PAGES)) in _PAGES


def chosen(request: HttpRequest, *, page: T, fragment: T, problem: T) -> T:
    """Return which of three forms of an answer the client asked for."""
    if request.headers.get("HX-Request") == "true":
        # https://htmx.org/reference/#request_headers
        whole = "true" in {request.headers.get(name) for name in ("HX-Boosted", "HX-History-Restore-Request")}
        return page if whole else fragment
    return page if wants_html(request) else problem


def _problem(_request: HttpRequest, window: Window) -> HttpResponse:
    return HttpResponse(json.dumps(problem(window)), content_type=PROBLEM, status=HTTPStatus.SERVICE_UNAVAILABLE)


def _page(request: HttpRequest, window: Window) -> HttpResponse:
    return HttpResponse(render(PAGE, context(request, window)), status=HTTPStatus.SERVICE_UNAVAILABLE)


def _fragment(request: HttpRequest, window: Window) -> HttpResponse:
    response = HttpResponse(render(FRAGMENT, context(request, window)), status=HTTPStatus.SERVICE_UNAVAILABLE)
    # htmx swaps no error by itself; an event lets a page show it. https://htmx.org/headers/hx-trigger/
    response["HX-Trigger"] = "read-only"
    return response


def context(request: HttpRequest, window: Window) -> dict[str, Any]:
    """Return what the templates show."""
    return {
        "reason": window.reason,
        "since": window.since,
        "eta": window.eta,
        "retry_after": window.retry_after,
        **of_the_language(),
        "sent": request.method not in {"GET", "HEAD"},
        "in_part": began_writable(request),
        **ways_on(request),
    }


def of_the_language() -> dict[str, Any]:
    """Return what a page says of its language."""
    return {
        "language": translation.get_language() or "en",
        "right_to_left": translation.get_language_bidi(),
    }


def ways_on(request: HttpRequest) -> dict[str, Any]:
    """Return where a page may lead: back to itself where it was only read, and home."""
    return {
        "back": escape_leading_slashes(request.get_full_path()) if request.method in {"GET", "HEAD"} else "",
        "csp_nonce": nonce_of(request),
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
