"""A banner on every page of an admin site while it is read-only, whatever the page's template and theme."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from django.contrib.admin.sites import AdminSite
from django.http import HttpRequest, HttpResponseBase
from django.template.loader import render_to_string

from .. import conf
from ..connections.asking import get_status
from ..connections.handler import any_read_only
from ..http.window import window_of
from . import access, places

TEMPLATE = "readonly_router/operations/banner.html"
_SHOWN = "_readonly_router_banner"
# Within the landmark that every page of Django's has, else above everything.
_PLACES = (re.compile(rb"<main\b[^>]*>", re.IGNORECASE), re.compile(rb"<body\b[^>]*>", re.IGNORECASE))


def with_banner(site: AdminSite, request: HttpRequest, response: Any) -> Any:
    """Return the response with the banner in it, if it is a page and the site is read-only."""
    if not any_read_only() or getattr(response, _SHOWN, False):
        return response
    setattr(response, _SHOWN, True)
    if getattr(response, "is_rendered", True):
        return _inserted(site, request, response)
    response.add_post_render_callback(partial(_inserted, site, request))
    return response


def _inserted(site: AdminSite, request: HttpRequest, response: Any) -> HttpResponseBase:
    place = _place(response)
    if place is not None:
        banner = render_to_string(TEMPLATE, _context(site, request), request=request)
        content = response.content
        response.content = content[:place] + banner.encode(response.charset) + content[place:]
        if response.has_header("Content-Length"):
            response["Content-Length"] = str(len(response.content))
    found: HttpResponseBase = response
    return found


def _place(response: Any) -> int | None:
    """Return the offset in a page where the banner belongs; None where there is none."""
    is_page = response.get("Content-Type", "").startswith("text/html") and not response.has_header(
        "Content-Encoding"
    )
    if response.streaming or not is_page:
        return None
    found = next(filter(None, (place.search(response.content) for place in _PLACES)), None)
    return found.end() if found else None


def _context(site: AdminSite, request: HttpRequest) -> dict[str, Any]:
    user = getattr(request, "user", None)
    return {
        "read_only_pairs": [
            {"window": window_of(status), "by_process": status.source == "process"}
            for status in map(get_status, conf.twins())
            if status.read_only
        ],
        "named": len(conf.twins()) > 1,
        "board_url": places.url(site, places.BOARD) if user is not None and access.may_see(user) else "",
    }
