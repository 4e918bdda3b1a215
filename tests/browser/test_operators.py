"""Operators and editors in the admin: the switch, its progress and receipt, and an admin that only shows."""

from __future__ import annotations

import json

from playwright.sync_api import Page, expect

from tests.browser.people import BOARD, REASON, Windows, ask_for, order, sent, sign_in, switch_off, switch_on
from tests.browser.sites import Place
from tests.http.operating import is_read_only, transaction_at_work

PRODUCT = "/admin/shop/product/1/change/"


def test_what_is_asked_for_is_shown_before_it_is_done(shop: Place, operator: Page) -> None:
    ask_for(operator, shop, "on", reason=REASON, expected_to_last="30m")

    expect(operator.get_by_role("heading", name="Switch read-only?")).to_be_visible()
    expect(operator.get_by_role("table", name="What is meant")).to_contain_text(REASON)
    assert not is_read_only(shop.made)


def test_whoever_says_no_is_back_and_nothing_is_switched(shop: Place, operator: Page) -> None:
    ask_for(operator, shop, "on", reason=REASON)

    operator.get_by_role("link", name="No, take me back").click()

    expect(operator.get_by_role("table", name="default: writable")).to_be_visible()
    assert not is_read_only(shop.made)


def test_a_mistake_is_told_where_it_was_made(shop: Place, operator: Page) -> None:
    ask_for(operator, shop, "on", expected_to_last="half an hour")

    expect(operator.get_by_role("alert")).to_contain_text("Nothing was switched")
    assert operator.get_by_label("Expected to last").get_attribute("aria-invalid") == "true"


def test_progress_is_seen_while_the_drain_waits_and_then_the_receipt(shop: Place, operator: Page) -> None:
    ask_for(operator, shop, "on", reason=REASON)
    with transaction_at_work(shop.made) as connection:
        operator.get_by_role("button", name="Yes, switch read-only").click()
        expect(operator.get_by_role("log")).to_contain_text("sessions to drain")
        expect(operator.get_by_text("Read-only, and proved")).to_have_count(0)
        connection.execute("COMMIT")
        expect(operator.get_by_text("Read-only, and proved")).to_be_visible()

    operator.get_by_text("Receipt of default as JSON").click()
    receipt = json.loads(operator.get_by_role("group").locator("pre").inner_text())
    stored = shop.made.superuser.execute("SELECT receipt FROM readonly_router_event WHERE kind = 'on'").fetchone()
    assert stored == (receipt,)


def test_the_operators_page_of_another_follows_without_a_reload(
    shop: Place, operator: Page, windows: Windows
) -> None:
    other = windows()
    sign_in(other, shop, "admin", BOARD)
    expect(other.get_by_role("table", name="default: writable")).to_be_visible()

    switch_on(operator, shop)

    expect(other.get_by_role("table", name="default: read-only")).to_contain_text(REASON)
    expect(other.get_by_role("status").filter(has_text="thrown meanwhile")).to_be_visible()


def test_the_admin_only_shows_while_read_only_and_edits_again_after_it(
    shop: Place, operator: Page, editor: Page
) -> None:
    switch_on(operator, shop)
    editor.goto(shop.url(PRODUCT))
    expect(editor.get_by_role("list", name="Read-only mode")).to_contain_text(REASON)
    expect(editor.get_by_role("heading", name="View product")).to_be_visible()
    expect(editor.get_by_role("button", name="Save", exact=True)).to_have_count(0)

    switch_off(operator, shop)
    editor.reload()
    expect(editor.get_by_role("list", name="Read-only mode")).to_have_count(0)
    sent(editor, "Save")

    expect(editor.locator(".messagelist")).to_contain_text("was changed successfully")


def test_a_form_that_was_open_before_is_refused_politely(shop: Place, operator: Page, editor: Page) -> None:
    editor.goto(shop.url(PRODUCT))
    switch_on(operator, shop)

    editor.get_by_label("Stock:").fill("7")
    answer = sent(editor, "Save")

    assert answer.status == 503
    expect(editor.get_by_text("What you just sent was not saved.")).to_be_visible()


def test_somebody_signs_in_in_the_window_and_opens_the_site(shop: Place, operator: Page, windows: Windows) -> None:
    switch_on(operator, shop)
    late = windows()
    sign_in(late, shop, "admin", BOARD)

    switch_off(late, shop)

    assert not is_read_only(shop.made)
    assert order(late, shop).status == 302


def test_the_switch_is_thrown_with_the_keyboard_alone(shop: Place, operator: Page) -> None:
    operator.goto(shop.url(BOARD))
    operator.get_by_label("Reason").focus()
    operator.keyboard.type(REASON)
    operator.keyboard.press("Enter")
    expect(operator.get_by_role("heading", name="Switch read-only?")).to_be_visible()
    operator.get_by_role("button", name="Yes, switch read-only").focus()
    operator.keyboard.press("Enter")

    expect(operator.get_by_text("Read-only, and proved")).to_be_visible()
