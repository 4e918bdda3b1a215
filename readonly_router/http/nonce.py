"""The nonce by which a site's Content-Security-Policy lets through the style and script of a page of ours."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

# Django's own (ContentSecurityPolicyMiddleware, from 6.0 on), and django-csp's.
_NAMES = ("_csp_nonce", "csp_nonce")


def nonce_of(request: HttpRequest | None) -> str:
    """Return the request's nonce; empty where the site has no such policy.

    As a text: both make it when it is first asked for, and until then `{% if %}` takes it for none.
    """
    found = next((found for name in _NAMES if (found := getattr(request, name, None)) is not None), None)
    return as_text(found)


def as_text(nonce: Any) -> str:
    """Return a nonce as a text, which makes it; empty where there is none, or none can be made any more."""
    try:
        return "" if nonce is None else str(nonce)
    except Exception:  # noqa: BLE001 - django-csp's own error: the policy has been sent, and cannot name it
        return ""
