"""A strict Content-Security-Policy, set as sites set it, and what of a page a browser would block under it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from django.utils.functional import SimpleLazyObject, empty

HEADER = "Content-Security-Policy"
STRICT = "default-src 'self'; object-src 'none'; base-uri 'none'; style-src 'self' {0}; script-src 'self' {0}"


class Lazy(SimpleLazyObject):
    """A nonce as django-csp's: it is false before it is asked for, and an error after the policy was sent."""

    def __init__(self) -> None:
        super().__init__(lambda: secrets.token_urlsafe(16))

    def __bool__(self) -> bool:
        return self._wrapped is not empty  # type: ignore[attr-defined]  # Django's, not in its stubs


class TooLate:
    """What django-csp leaves on a request whose policy was sent without a nonce."""

    def __str__(self) -> str:
        raise RuntimeError("the policy was sent without a nonce")


def by_hand(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Set the policy; it names the nonce only if a page asked for one."""

    def middleware(request: Any) -> Any:
        request.csp_nonce = Lazy()
        response = get_response(request)
        nonce = f"'nonce-{request.csp_nonce}'" if request.csp_nonce else ""
        response[HEADER] = STRICT.format(nonce)
        if not nonce:
            request.csp_nonce = TooLate()
        return response

    return middleware


def djangos_own() -> dict[str, Any]:
    """Return the settings of Django's own policy, from 6.0 on."""
    from django.utils.csp import CSP  # type: ignore[import-not-found,unused-ignore]  # from 6.0 on

    named = [CSP.SELF, CSP.NONCE]
    none = [CSP.NONE]
    policy = {"object-src": none, "base-uri": none, "style-src": named, "script-src": named}
    return {"SECURE_CSP": {"default-src": [CSP.SELF], **policy}}


# The middleware of each, and its settings.
KINDS: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {"by hand": ("tests.http.policies.by_hand", dict)}
if find_spec("django.middleware.csp"):
    KINDS["Django's own"] = ("django.middleware.csp.ContentSecurityPolicyMiddleware", djangos_own)


class _Blocked(HTMLParser):
    def __init__(self, nonce: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.seen: list[str] = []
        self._nonce = nonce

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        whole = str(self.get_starttag_text())
        self.found += [whole for name in given if name == "style" or name.startswith("on")]
        self.found += [
            whole for value in given.values() if value.strip().lower().startswith(("javascript:", "data:"))
        ]
        source = given.get("href" if tag == "link" else "src", "")
        if tag in {"style", "script"} and "src" not in given:
            self.seen.append(tag)
            if not self._nonce or given.get("nonce") != self._nonce:
                self.found.append(whole)
        elif tag in {"base", "object", "embed"} or urlsplit(source).netloc:
            self.found.append(whole)


def blocked(html: str, policy: str) -> list[str]:
    """Return the tags of a page that a strict policy forbids."""
    parser = _parsed(html, policy)
    return parser.found


def inline(html: str, policy: str) -> list[str]:
    """Return the inline styles and scripts of a page, by their tags."""
    return _parsed(html, policy).seen


def _parsed(html: str, policy: str) -> _Blocked:
    match = re.search(r"style-src[^;]*'nonce-([^']+)'", policy)
    parser = _Blocked(match[1] if match else "")
    parser.feed(html)
    return parser
