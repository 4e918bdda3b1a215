"""The browser, the two sites, and windows of people's own.

Run with --confcutdir: the fixtures of the other tests belong to Django's test database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import sites
from tests.browser.chromium import NoChromiumError, chromium
from tests.browser.people import Windows, sign_in
from tests.browser.sites import Place
from tests.plugin import SERVER_VARIABLE

# How long people wait at most; each page comes much sooner.
MILLISECONDS = 30_000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--readme-screenshots",
        action="store_true",
        help="make the pictures of the README anew, in docs/screenshots",
    )


@pytest.fixture(scope="session")
def server() -> str:
    """The superuser's URL."""
    return os.environ[SERVER_VARIABLE]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with ExitStack() as stack:
        try:
            started = stack.enter_context(chromium())
        except NoChromiumError as error:
            pytest.exit(str(error), returncode=1)
        expect.set_options(timeout=MILLISECONDS)
        yield started


# After the browser, so that nothing is made where there is none.
@pytest.fixture(scope="session")
def served_shop(browser: Browser, server: str) -> Iterator[Place]:
    with sites.shop(server) as place:
        yield place


@pytest.fixture(scope="session")
def served_tea_garden(browser: Browser, server: str) -> Iterator[Place]:
    with sites.tea_garden(server) as place:
        yield place


@pytest.fixture
def shop(served_shop: Place) -> Iterator[Place]:
    """The example site, writable and without a history when a test begins."""
    yield served_shop
    served_shop.open_by_hand()


@pytest.fixture
def tea_garden(served_tea_garden: Place) -> Iterator[Place]:
    """The Wagtail site, writable and without a history when a test begins."""
    yield served_tea_garden
    served_tea_garden.open_by_hand()


@pytest.fixture
def windows(browser: Browser) -> Iterator[Windows]:
    """Open a browser window of somebody's own; no script of a page of ours may fail in it."""
    mistakes: list[str] = []
    with ExitStack() as stack:

        def window(**how: Any) -> BrowserContext:
            context = stack.enter_context(
                browser.new_context(
                    **{"locale": "en-GB", "timezone_id": "Europe/Amsterdam", "reduced_motion": "reduce", **how}
                )
            )
            context.set_default_timeout(MILLISECONDS)
            context.on("weberror", lambda error: mistakes.append(str(error.error)))
            return context

        yield window
    assert mistakes == []


@pytest.fixture
def page(windows: Windows) -> Page:
    """A page in a window of its own."""
    return windows().new_page()


@pytest.fixture(scope="session")
def signed_in(browser: Browser, served_shop: Place) -> dict[str, Any]:
    """The cookies of the shop's admin and editor, who signed in before every window."""
    cookies = {}
    for name in ("admin", "editor"):
        with browser.new_context() as context:
            sign_in(context.new_page(), served_shop, name)
            cookies[name] = context.storage_state()
    return cookies


@pytest.fixture
def operator(signed_in: dict[str, Any], shop: Place, windows: Windows) -> Page:
    """The page of somebody who throws the switch of the shop."""
    return windows(storage_state=signed_in["admin"]).new_page()


@pytest.fixture
def editor(signed_in: dict[str, Any], shop: Place, windows: Windows) -> Page:
    """The page of somebody who may change what the shop sells, and nothing else."""
    return windows(storage_state=signed_in["editor"]).new_page()
