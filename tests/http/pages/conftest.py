"""The example shop while read-only, and what its process knows of refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings
from django.utils import translation

from readonly_router import disable_writes, mode, switch_off, switch_on
from readonly_router.following import followers
from readonly_router.http import refused
from tests.http.pages.engines import COOKIES, PLAIN, sessions_of
from tests.http.pages.usual import MIDDLEWARE

ALL = {**PLAIN, **COOKIES}


@pytest.fixture
def pages(shop: None) -> Iterator[None]:
    """The pages of these tests over the example shop, behind the usual middleware."""
    refused.forget()
    # Django leaves the language of a request to the next one of its thread.
    with (
        override_settings(ROOT_URLCONF="tests.http.pages.views", MIDDLEWARE=MIDDLEWARE),
        translation.override("en-gb"),
    ):
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
def unchanged(shop: None, checksum: Callable[[], str]) -> Iterator[Callable[[], None]]:
    """Begin the mode where the test says; at the test's end the data is as it was then."""
    before: list[str] = []

    def begin() -> None:
        before.append(checksum())
        disable_writes()

    yield begin
    mode.set_process(None)
    connections.close_all()
    assert [checksum()] == before


@pytest.fixture
def switching(shop: None) -> Iterator[Callable[..., Any]]:
    """The real switch over the shop: `with switching(reason=...):` is a window."""

    @contextmanager
    def window(*, reason: str = "", eta: datetime | None = None) -> Iterator[None]:
        connections.close_all()
        switch_on("default", reason=reason, eta=eta, grace=0)
        followers.forget()
        # A new session tells of it.
        connections["default"].ensure_connection()
        try:
            assert mode.is_read_only()
            yield
        finally:
            connections.close_all()
            switch_off("default")
            followers.forget()

    yield window
    followers.forget()


@pytest.fixture(params=ALL.values(), ids=list(ALL))
def engine(request: pytest.FixtureRequest, pages: None) -> Iterator[dict[str, str]]:
    """Each session engine in turn."""
    with sessions_of(request.param):
        yield request.param


@pytest.fixture(params=PLAIN.values(), ids=list(PLAIN))
def plain(request: pytest.FixtureRequest, pages: None) -> Iterator[dict[str, str]]:
    """Django's own engines in turn."""
    with sessions_of(request.param):
        yield request.param


@pytest.fixture(params=COOKIES.values(), ids=list(COOKIES))
def cookies(request: pytest.FixtureRequest, pages: None) -> Iterator[dict[str, str]]:
    """Our engine over each store."""
    with sessions_of(request.param):
        yield request.param
