"""The browser, the two sites, and windows of people's own.

Run with --confcutdir: the fixtures of the other tests belong to Django's test database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import sites
from tests.browser.chromium import NoChromiumError, chromium
from tests.browser.people import Windows, sign_in
from tests.browser.screens import MILLISECONDS, Screens
from tests.browser.sites import Place
from tests.plugin import SERVER_VARIABLE


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--readme-screenshots",
        action="store_true",
        help="make the pictures of the README anew, in tests/browser/screenshots",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the README's pictures alone unless they are asked for."""
    is_asked_for = config.getoption("--readme-screenshots")
    return (collection_path.name == "test_readme_screenshots.py" and not is_asked_for) or None


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


@pytest.fixture(scope="session")
def screens(browser: Browser) -> Screens:
    return Screens(browser)


@pytest.fixture
def windows(screens: Screens) -> Iterator[Windows]:
    """Open a browser window of somebody's own; no script of a page may fail in it."""
    yield screens.take
    screens.clean()
    mistakes, screens.mistakes = screens.mistakes, []
    assert mistakes == []


@pytest.fixture
def page(windows: Windows) -> Page:
    """A page in a window of its own."""
    return windows()


@pytest.fixture(scope="session")
def signed_in(screens: Screens, served_shop: Place) -> dict[str, Any]:
    """The cookies of the shop's admin and editor, who signed in before every window."""
    cookies = {}
    for name in ("admin", "editor"):
        page = screens.take()
        sign_in(page, served_shop, name)
        cookies[name] = page.context.cookies()
    screens.clean()
    return cookies


@pytest.fixture
def operator(signed_in: dict[str, Any], shop: Place, windows: Windows) -> Page:
    """The page of somebody who throws the switch of the shop."""
    return windows(cookies=signed_in["admin"])


@pytest.fixture
def editor(signed_in: dict[str, Any], shop: Place, windows: Windows) -> Page:
    """The page of somebody who may change what the shop sells, and nothing else."""
    return windows(cookies=signed_in["editor"])
