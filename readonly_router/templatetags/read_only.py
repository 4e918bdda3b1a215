"""`{% read_only_banner %}`: the window told on the page, following the switch without a reload."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import NoReverseMatch, reverse

from ..http.nonce import as_text, nonce_of
from ..http.window import window

register = template.Library()


@register.inclusion_tag("readonly_router/banner.html", takes_context=True)
def read_only_banner(context: template.Context, every: float = 60) -> dict[str, Any]:
    """Return the banner's context; without the status endpoint in your URLs it changes with the next page only.

    A page that is looked at asks for the status `every` so many seconds, and in a window every 5.
    """
    try:
        status_url = reverse("readonly_router:status")
    except NoReverseMatch:
        status_url = ""
    # By whichever of the context processors there is, of the request or of the nonce.
    nonce = nonce_of(context.get("request")) or as_text(context.get("csp_nonce"))
    return {"window": window(), "status_url": status_url, "every": every, "nonce": nonce}
