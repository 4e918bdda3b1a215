"""The example shop while read-only, and what its process knows of refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings

from readonly_router import disable_writes, following, mode, refused, switch_off, switch_on

OURS = "readonly_router.middleware.ReadOnlyMiddleware"
MIDDLEWARE = [
    OURS,
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
def pages(shop: None) -> Iterator[None]:
    """The pages of these tests over the example shop, behind the usual middleware."""
    refused.forget()
    with override_settings(ROOT_URLCONF="tests.http.pages.views", MIDDLEWARE=MIDDLEWARE):
        yield
    refused.forget()


@pytest.fixture
def read_only_pages(pages: None, checksum: Callable[[], str]) -> Iterator[None]:
    """The same in a read-only process; whatever is asked of them, the data stays as it was."""
    before = checksum()
    disable_writes()
    yield
    mode.set_process(None)
    connections.close_all()
    assert checksum() == before


@pytest.fixture
def switching(shop: None) -> Iterator[Callable[..., Any]]:
    """The real switch over the shop: `with switching(reason=...):` is a window."""

    @contextmanager
    def window(*, reason: str = "", eta: datetime | None = None) -> Iterator[None]:
        connections.close_all()
        switch_on("default", reason=reason, eta=eta, grace=0)
        following.forget()
        # A new session tells of it.
        connections["default"].ensure_connection()
        try:
            assert mode.is_read_only()
            yield
        finally:
            connections.close_all()
            switch_off("default")
            following.forget()

    yield window
    following.forget()
