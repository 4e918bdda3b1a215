"""A stranger's browser at the example shop: what is shared by the tests of what it may not do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.serializers import JSONSerializer
from django.core import signing
from django.db import connections
from django.test import override_settings
from django.utils import translation

from readonly_router import is_read_only, switch_off
from readonly_router.following import followers
from readonly_router.http import refused
from readonly_router.sessions import cookies
from tests.http.pages.engines import COOKIES, sessions_of

FIRST = "readonly_router.middleware.ReadOnlyMiddleware"


@pytest.fixture
def site(shop: None) -> Iterator[None]:
    """The shop with every page of ours, and sessions of ours over the database; writable in the end."""
    refused.forget()
    usual = [name for name in settings.MIDDLEWARE if name != FIRST]
    with (
        sessions_of(COOKIES["ours over db"]),
        override_settings(ROOT_URLCONF="tests.http.policy_urls", MIDDLEWARE=[FIRST, *usual]),
        translation.override("en-gb"),
    ):
        yield
        connections.close_all()
        if is_read_only():
            switch_off("default", grace=0)
            followers.forget()
    refused.forget()


def opened(cookie: str) -> dict[str, Any]:
    """Return what a cookie of the window holds."""
    found: dict[str, Any] = signing.loads(
        cookie.removeprefix(cookies.PREFIX), salt=cookies.SALT, serializer=JSONSerializer
    )
    return found


def made_before(cookie: str, *, seconds: float, **changed: Any) -> str:
    """Return a cookie as the site made it so many seconds ago."""

    class Earlier(signing.TimestampSigner):
        def timestamp(self) -> str:
            return signing.b62_encode(int(time.time() - seconds))

    signer = Earlier(salt=cookies.SALT)
    held = {**opened(cookie), **changed}
    return cookies.PREFIX + signer.sign_object(held, serializer=JSONSerializer, compress=True)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, ...]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add((tag, *sorted(name for name, _ in attrs)))

    def handle_comment(self, data: str) -> None:
        self.found.add(("comment",))


def tags(html: str) -> set[tuple[str, ...]]:
    """Return which tags a page is made of, with the names of their attributes."""
    parser = _Tags()
    parser.feed(html)
    return parser.found
