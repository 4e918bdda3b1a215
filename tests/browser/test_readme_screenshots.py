"""The pictures of the README, made anew: make browser ARGS='--readme-screenshots -k readme'."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.browser import sites
from tests.browser.looks import README_COLOURS, README_PICTURES, picture
from tests.browser.people import Windows, order, sign_in, switch_on
from tests.browser.sites import Place

BYTES = 60_000


@pytest.fixture(scope="module")
def named_shop(server: str) -> Iterator[Place]:
    """The shop on a database and roles as people name them."""
    with sites.shop(server, name="shop", writer="shop", twin="shop_readonly") as place:
        yield place


def test_the_readmes_pictures_are_small(named_shop: Place, windows: Windows) -> None:
    operator = windows(device_scale_factor=1.5)
    sign_in(operator, named_shop, "admin")
    switch_on(operator, named_shop)
    _take(operator, "operators-page", 1040, 650)
    editor = windows(device_scale_factor=1.5)
    sign_in(editor, named_shop, "editor", "/admin/shop/product/1/change/")
    _take(editor, "editors-admin", 1040, 440)
    visitor = windows(device_scale_factor=2)
    visitor.goto(named_shop.url("/products/earl-grey/"))
    _take(visitor, "banner", 860, 320)
    order(visitor, named_shop)
    _take(visitor, "503-phone", 390, 560)

    assert [path.name for path in README_PICTURES.iterdir() if path.stat().st_size > BYTES] == []


def _take(page: Page, name: str, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme="light")
    picture(page, README_PICTURES / f"{name}.png", colours=README_COLOURS)
