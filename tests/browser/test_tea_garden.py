"""A Wagtail site: its visitors, and its editors who have pages open as the switch is thrown."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Response, expect

from tests.browser import people
from tests.browser.people import BANNER, REASON, Windows, sent, sign_in_to_wagtail
from tests.browser.sites import Place

BOARD = "/django-admin/read-only/"


@pytest.fixture
def operator(tea_garden: Place, windows: Windows) -> Page:
    """The page of somebody who throws the switch of the tea garden."""
    page = windows()
    people.sign_in(page, tea_garden, "newcomer", BOARD, people.WAGTAIL_PASSWORD)
    return page


def switch_on(operator: Page, tea_garden: Place) -> None:
    people.switch_on(operator, tea_garden, board=BOARD)


def switch_off(operator: Page, tea_garden: Place) -> None:
    people.switch_off(operator, tea_garden, board=BOARD)


def edit(page: Page, tea_garden: Place) -> Response | None:
    """Open the editor of the first tea."""
    row = tea_garden.made.superuser.execute("SELECT id FROM wagtailcore_page WHERE slug = 'tea-1'").fetchone()
    assert row is not None
    return page.goto(tea_garden.url(f"/admin/pages/{row[0]}/edit/"))


def publish(page: Page) -> Response:
    page.locator("footer").get_by_role("button", name="More actions").click()
    return sent(page, "Publish")


def test_its_pages_are_read_in_the_window_and_show_the_banner(
    tea_garden: Place, operator: Page, page: Page
) -> None:
    # The first reader of a page has its images made.
    page.goto(tea_garden.url("/tea-2/"))
    page.goto(tea_garden.url("/"))
    expect(page.locator(BANNER)).to_be_hidden()
    switch_on(operator, tea_garden)

    page.get_by_role("link", name="Tea 2!").click()

    expect(page.get_by_role("heading", name="Tea 2!")).to_be_visible()
    expect(page.locator(BANNER)).to_contain_text(REASON)


def test_its_pages_ask_seldom_in_normal_mode_and_soon_in_a_window(
    tea_garden: Place, operator: Page, page: Page
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/status" in request.url else None)
    page.clock.install()
    page.goto(tea_garden.url("/"))

    page.clock.run_for(44_000)
    assert len(asked) == 0
    with page.expect_response("**/status/"):
        page.clock.run_for(32_000)
    assert len(asked) == 1

    switch_on(operator, tea_garden)
    page.goto(tea_garden.url("/"))
    asked.clear()
    with page.expect_response("**/status/"):
        page.clock.run_for(7_000)
    assert len(asked) == 1


def test_a_form_of_the_site_sent_in_the_window_is_the_503_page(
    tea_garden: Place, operator: Page, page: Page
) -> None:
    page.goto(tea_garden.url("/contact/"))
    switch_on(operator, tea_garden)

    page.get_by_label("Name").fill("Grace")
    answer = sent(page, "Send")

    assert (answer.status, answer.headers["read-only"]) == (503, "?1")
    expect(page.get_by_role("main")).to_contain_text("What you just sent was not saved.")


def test_what_an_editor_could_not_publish_in_the_window_is_published_after_it(
    tea_garden: Place, operator: Page, page: Page
) -> None:
    sign_in_to_wagtail(page, tea_garden, "admin")
    edit(page, tea_garden)
    switch_on(operator, tea_garden)
    page.get_by_role("textbox", name="Title*").fill("Tea without leaves")

    assert publish(page).status == 503
    expect(page.get_by_role("main")).to_contain_text("What you just sent was not saved.")
    switch_off(operator, tea_garden)
    # The editor as it was left, with what was typed.
    page.go_back()
    expect(page.get_by_role("textbox", name="Title*")).to_have_value("Tea without leaves")
    publish(page)
    expect(page.get_by_text("has been published")).to_be_visible()

    page.goto(tea_garden.url("/tea-1/"))
    expect(page.get_by_role("heading", name="Tea without leaves")).to_be_visible()


def test_an_editor_signs_in_in_the_window_and_looks_at_what_was_edited_before(
    tea_garden: Place, operator: Page, page: Page, windows: Windows
) -> None:
    before = windows()
    sign_in_to_wagtail(before, tea_garden, "admin")
    # Wagtail makes a row for each editor of a page as it is opened for the first time.
    edit(before, tea_garden)
    switch_on(operator, tea_garden)

    sign_in_to_wagtail(page, tea_garden, "admin")
    answer = edit(page, tea_garden)

    assert answer is not None
    assert answer.status == 200
    expect(page.get_by_role("textbox", name="Title*")).to_be_visible()
