"""Every page of the window looks finished on a phone and a desktop, in light and in dark, and axe-core agrees."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.looks import blemishes
from tests.browser.people import BOARD, REASON, ask_for, order, switch_off, switch_on
from tests.browser.sites import Place
from tests.http.operating import transaction_at_work

# Django's own: its breadcrumbs are told from the words between them by their colour alone.
BREADCRUMBS = ("link-in-text-block", ".breadcrumbs > a")
# Django's own: its page to sign in has no heading.
NO_HEADING = ("page-has-heading-one", "html")


def test_the_operators_page_and_its_question(shop: Place, operator: Page) -> None:
    operator.goto(shop.url(BOARD))
    assert blemishes(operator, "operators-before") == []
    ask_for(operator, shop, "on", expected_to_last="half an hour", grace="")
    assert blemishes(operator, "operators-mistakes") == []
    ask_for(operator, shop, "on", reason=REASON, expected_to_last="30m")
    assert blemishes(operator, "operators-question") == []


def test_the_progress(shop: Place, operator: Page) -> None:
    ask_for(operator, shop, "on", reason=REASON, expected_to_last="30m")
    with transaction_at_work(shop.made):
        operator.get_by_role("button", name="Yes, switch read-only").click()
        expect(operator.get_by_role("log")).to_contain_text("sessions to drain")
        assert blemishes(operator, "operators-progress") == []


def test_what_is_told_when_it_fails(shop: Place, operator: Page) -> None:
    ask_for(operator, shop, "on", reason=REASON, give_up_after="1s")
    with transaction_at_work(shop.made):
        operator.get_by_role("button", name="Yes, switch read-only").click()
        expect(operator.get_by_role("alert")).to_contain_text("It failed.")
    assert blemishes(operator, "operators-failed") == []


def test_the_receipt_and_the_operators_page_in_and_after_a_window(shop: Place, operator: Page) -> None:
    switch_on(operator, shop)
    operator.get_by_text("Receipt of default as JSON").click()
    assert blemishes(operator, "operators-receipt") == []
    operator.goto(shop.url(BOARD))
    assert blemishes(operator, "operators-read-only") == []
    switch_off(operator, shop)
    assert blemishes(operator, "operators-opened") == []


def test_the_admin_while_read_only(shop: Place, operator: Page, page: Page) -> None:
    switch_on(operator, shop)
    operator.goto(shop.url("/admin/"))
    assert blemishes(operator, "admin") == []
    operator.goto(shop.url("/admin/shop/product/1/change/"))
    assert blemishes(operator, "admin-change", known=(BREADCRUMBS,)) == []
    operator.goto(shop.url("/admin/readonly_router/event/"))
    assert blemishes(operator, "admin-history", known=(BREADCRUMBS,)) == []
    page.goto(shop.url("/admin/"))
    assert blemishes(page, "admin-sign-in", known=(NO_HEADING,)) == []


def test_the_503_page_and_the_banner(shop: Place, operator: Page, page: Page) -> None:
    switch_on(operator, shop)
    order(page, shop)
    assert blemishes(page, "503") == []
    page.goto(shop.url("/products/earl-grey/"))
    assert blemishes(page, "shop") == []


def test_the_503_page_where_little_is_known(shop: Place, operator: Page, page: Page) -> None:
    ask_for(operator, shop, "on")
    operator.get_by_role("button", name="Yes, switch read-only").click()
    expect(operator.get_by_text("Read-only, and proved")).to_be_visible()
    order(page, shop)
    assert blemishes(page, "503-bare") == []
