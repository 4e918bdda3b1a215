"""Visitors of the shop: what they read, what they are told, and what they do once it is over."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.people import (
    BANNER,
    REASON,
    Windows,
    order,
    sign_in_to_shop,
    switch_off,
    switch_on,
)
from tests.browser.sites import Place


def orders(place: Place) -> int:
    row = place.made.superuser.execute("SELECT count(*) FROM shop_order").fetchone()
    assert row is not None
    return int(row[0])


def test_an_order_sent_in_the_window_is_the_503_page_and_nothing_is_saved(
    shop: Place, operator: Page, page: Page
) -> None:
    page.goto(shop.url("/order/"))
    switch_on(operator, shop)
    before = orders(shop)

    answer = order(page, shop)

    expect(page.get_by_role("heading", name="Read-only at the moment")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("What you just sent was not saved.")
    expect(page.get_by_role("main")).to_contain_text(REASON)
    assert (answer.status, answer.headers["read-only"], orders(shop)) == (503, "?1", before)
    assert 0 < int(answer.headers["retry-after"]) <= 30 * 60


def test_the_503_page_leads_back_to_reading(shop: Place, operator: Page, page: Page) -> None:
    switch_on(operator, shop)
    order(page, shop)

    page.get_by_role("link", name="Go on reading").click()
    page.get_by_role("link", name="Earl Grey").click()

    expect(page.get_by_role("heading", name="Earl Grey")).to_be_visible()
    expect(page.locator(BANNER)).to_contain_text(REASON)


def test_a_page_that_is_open_follows_the_switch_without_a_reload(shop: Place, operator: Page, page: Page) -> None:
    page.goto(shop.url("/"))
    page.evaluate("window.isTheSamePage = true")
    expect(page.locator(BANNER)).to_be_hidden()

    switch_on(operator, shop)
    expect(page.get_by_role("status").filter(has_text=REASON)).to_contain_text("Expected back at")
    switch_off(operator, shop)
    expect(page.locator(BANNER)).to_be_hidden()

    assert page.evaluate("window.isTheSamePage")


def test_an_order_works_once_it_is_over(shop: Place, operator: Page, page: Page) -> None:
    page.goto(shop.url("/order/"))
    switch_on(operator, shop)
    assert order(page, shop).status == 503
    switch_off(operator, shop)

    # The form as it was sent in vain, still filled in.
    page.go_back()
    order(page, shop)

    expect(page.get_by_role("status").filter(has_text="Your invoice number")).to_be_visible()


def test_a_customer_signs_in_and_out_in_the_window(shop: Place, operator: Page, page: Page) -> None:
    switch_on(operator, shop)

    sign_in_to_shop(page, shop, "customer")
    expect(page.get_by_role("heading", name="orders")).to_be_visible()
    page.get_by_role("button", name="Sign out customer").click()

    expect(page.get_by_role("link", name="Sign in")).to_be_visible()


def test_a_customer_who_signed_in_in_the_window_stays_signed_in_after_it(
    shop: Place, operator: Page, page: Page
) -> None:
    switch_on(operator, shop)
    sign_in_to_shop(page, shop, "customer")
    switch_off(operator, shop)

    page.get_by_role("link", name="My orders").click()
    expect(page.locator(BANNER)).to_be_hidden()

    expect(page.get_by_role("button", name="Sign out customer")).to_be_visible()


def test_the_banner_needs_no_script(shop: Place, operator: Page, windows: Windows) -> None:
    switch_on(operator, shop)
    page = windows(java_script_enabled=False)

    page.goto(shop.url("/"))

    expect(page.locator(BANNER)).to_contain_text(REASON)


def test_the_page_and_the_banner_speak_the_visitors_language(
    shop: Place, operator: Page, windows: Windows
) -> None:
    switch_on(operator, shop)
    page = windows(locale="de-DE")

    order(page, shop)

    expect(page.get_by_role("heading", name="Zurzeit nur lesbar")).to_be_visible()
