"""The answer where the site's twin cannot log in: a 503 that does not say that anything can be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from .. import conf
from ..connections.twin_logins import serves
from ..errors import SessionEndedError, TwinLoginError
from .nonce import nonce_of
from .request_mode import in_part
from .responses import PROBLEM, chosen, for_now, of_the_language, render, ways_on

PAGE, FRAGMENT = "readonly_router/unreachable.html", "readonly_router/unreachable_fragment.html"
IN_PART = "What you just sent may have been saved in part. Look before you send it again."
_CODE = HTTPStatus.SERVICE_UNAVAILABLE


def is_unreachable(error: BaseException | None) -> bool:
    """Return whether the twin that serves the site gave no session, or the switch ended one that was in use."""
    return isinstance(error, SessionEndedError) or (isinstance(error, TwinLoginError) and serves(error.alias))


def unreachable(request: HttpRequest) -> HttpResponse:
    """Return the 503 in the form the client asked for, with Retry-After; why is for the log alone."""
    form = chosen(request, page=_html(PAGE), fragment=_html(FRAGMENT), problem=_problem)
    return for_now(form(request), seconds=conf.retry_after())


def _html(name: str) -> Callable[[HttpRequest], HttpResponse]:
    def form(request: HttpRequest) -> HttpResponse:
        values = {
            **of_the_language(),
            **ways_on(request),
            "csp_nonce": nonce_of(request),
            "in_part": in_part(request),
        }
        return HttpResponse(render(name, values), status=_CODE)

    return form


def _problem(request: HttpRequest) -> HttpResponse:
    in_part_too = f" {_(IN_PART)}" if in_part(request) else ""
    facts = {
        "type": "about:blank",
        "title": _CODE.phrase,
        "status": int(_CODE),
        "detail": _("This site cannot be shown at the moment.") + in_part_too,
        "retry_after": conf.retry_after(),
    }
    return HttpResponse(json.dumps(facts), content_type=PROBLEM, status=_CODE)
