"""People at their browsers: what they fill in and click on."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, Response, expect

from tests.browser.sites import Place

# Gives a browser window of somebody's own.
Windows = Callable[..., Page]

# As tests.wagtail.content has it, which only the Wagtail site itself can import.
WAGTAIL_PASSWORD = "a-password-for-tests"
BOARD = "/admin/read-only/"
REASON = "The shop moves to PostgreSQL 18."
BANNER = ".read-only-banner > div"


def sign_in(page: Page, place: Place, name: str, path: str = "/admin/", password: str = "") -> None:
    """Sign in where a page of the admin asks for it; the passwords of the shop are like names."""
    page.goto(place.url(path))
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password or name)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#user-tools")).to_contain_text(name, ignore_case=True)


def sign_in_to_shop(page: Page, place: Place, name: str) -> None:
    page.goto(place.url("/accounts/login/"))
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(name)
    page.get_by_role("button", name="Sign in").click()


def sign_in_to_wagtail(page: Page, place: Place, name: str) -> None:
    page.goto(place.url("/admin/login/"))
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(WAGTAIL_PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_title("Dashboard - Wagtail")


def sent(page: Page, button: str) -> Response:
    """Click a button that sends a form, and return the answer to it."""
    with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        page.get_by_role("button", name=button, exact=True).click()
    return answered.value


def order(page: Page, place: Place) -> Response:
    """Order something in the shop, from a form that is open or from a new one."""
    if not page.url.startswith(place.url("/order/")):
        page.goto(place.url("/order/"))
    page.get_by_label("E-mail address").fill("customer@example.com")
    page.get_by_label("Earl Grey").fill("2")
    return sent(page, "Place order")


def ask_for(page: Page, place: Place, verb: str, *, board: str = BOARD, **fields: str) -> None:
    """Fill in the operators' page, as far as the question that follows."""
    page.goto(place.url(board))
    form = page.locator(f"#read-only-{verb}-form")
    for label, value in fields.items():
        form.get_by_label(label.replace("_", " ").capitalize()).fill(value)
    form.get_by_role("button").click()


def switch_on(page: Page, place: Place, *, board: str = BOARD, eta: str = "30m") -> None:
    """Make the site read-only in the admin, and wait for the receipt."""
    ask_for(page, place, "on", board=board, reason=REASON, expected_to_last=eta)
    page.get_by_role("button", name="Yes, switch read-only").click()
    expect(page.get_by_role("status").filter(has_text="Read-only, and proved")).to_be_visible()


def switch_off(page: Page, place: Place, *, board: str = BOARD) -> None:
    """Open the site again in the admin, and wait until it is."""
    ask_for(page, place, "off", board=board, reason="It has moved.")
    page.get_by_role("button", name="Yes, open again").click()
    expect(page.get_by_role("status").filter(has_text="Writable again")).to_be_visible()
