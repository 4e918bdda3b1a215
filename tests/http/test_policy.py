"""Every page of ours under a strict Content-Security-Policy: all of its style and script is let through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from django.test import Client, override_settings
from django.utils import translation

from readonly_router import disable_writes, enable_writes, switch_off, switch_on
from readonly_router.following import followers
from readonly_router.http import refused
from readonly_router.models import Event
from tests.example.shop.models import Product
from tests.http.pages.engines import COOKIES, sessions_of
from tests.http.pages.usual import BROWSER
from tests.http.policies import HEADER, KINDS, blocked, inline

FIRST = "readonly_router.middleware.ReadOnlyMiddleware"
BOARD, PLAN = "/admin/read-only/", "/admin/migrations/"
YES = {"grace": "0s", "deadline": "10s", "confirmed": "yes", "reason": "<b style='x' onclick=y>moving</b>"}


@pytest.fixture(params=KINDS.values(), ids=list(KINDS))
def strict(request: pytest.FixtureRequest, shop: None) -> Iterator[None]:
    """The site under a policy as each middleware sets it."""
    middleware, values = request.param
    refused.forget()
    usual = [name for name in settings.MIDDLEWARE if name != FIRST]
    with (
        sessions_of(COOKIES["ours over db"]),
        override_settings(
            ROOT_URLCONF="tests.http.policy_urls", MIDDLEWARE=[FIRST, middleware, *usual], **values()
        ),
        translation.override("en-gb"),
    ):
        yield
        connections.close_all()
        switch_off("default", grace=0)
        followers.forget()
    refused.forget()


@pytest.fixture
def client(strict: None) -> Client:
    """The browser of a superuser."""
    client = Client(raise_request_exception=False, headers=BROWSER)
    assert client.login(username="admin", password="admin")
    return client


@pytest.fixture
def window(client: Client) -> None:
    """The real switch, with a reason that would be markup."""
    connections.close_all()
    switch_on("default", reason=YES["reason"], grace=0)
    followers.forget()
    connections["default"].ensure_connection()


def shown_under_a_policy(answer: Any) -> tuple[int, list[str], list[str]]:
    """Return the status of a page, what a browser would block of it, and what it has inline."""
    html = b"".join(answer.streaming_content) if answer.streaming else answer.content
    text, policy = html.decode(), answer.headers.get(HEADER, "")
    assert policy
    assert "<b style" not in text
    return answer.status_code, blocked(text, policy), inline(text, policy)


# Of a window: who asks, what for, with which status, and what is inline there.
PAGES: dict[str, tuple[Callable[[Client], Any], int, list[str]]] = {
    "503 of a POST": (lambda client: client.post("/echo/"), 503, ["style"]),
    "503 of a PUT": (lambda client: client.put("/echo/"), 503, ["style"]),
    "503 of a view": (lambda client: client.get("/view/"), 503, ["style"]),
    "503 of a template": (lambda client: client.get("/template/"), 503, ["style"]),
    "503 of a template response": (lambda client: client.get("/template-response/"), 503, ["style"]),
    "503 of on_commit": (lambda client: client.get("/on-commit/"), 503, ["style"]),
    "503 of the admin": (lambda client: client.post("/admin/shop/tag/add/"), 503, ["style"]),
    "fragment": (lambda client: client.post("/echo/", headers={"HX-Request": "true"}), 503, []),
    "banner": (lambda client: client.get("/with-banner/"), 200, ["style", "script"]),
    "banner by the nonce alone": (lambda client: client.get("/with-banner-by-nonce/"), 200, ["style", "script"]),
    "operators' page": (lambda client: client.get(BOARD), 200, ["style"]),
    "operators' page asked again": (
        lambda client: client.post(f"{BOARD}off/", {"reason": "x" * 501}),
        422,
        ["style"],
    ),
    "question": (lambda client: client.post(f"{BOARD}off/"), 200, ["style"]),
    "progress of off": (lambda client: client.post(f"{BOARD}off/", {"confirmed": "yes"}), 200, ["style"]),
    "migrations": (lambda client: client.get(PLAN), 200, ["style"]),
    "question of the migrations": (lambda client: client.post(f"{PLAN}run/"), 200, ["style"]),
    "index of the admin": (lambda client: client.get("/admin/"), 200, []),
    "list of events": (lambda client: client.get("/admin/readonly_router/event/"), 200, []),
    "an event": (
        lambda client: client.get(f"/admin/readonly_router/event/{Event.objects.all()[0].pk}/change/"),
        200,
        [],
    ),
    "an admin's view-only form": (
        lambda client: client.get(f"/admin/shop/product/{Product.objects.all()[0].pk}/change/"),
        200,
        [],
    ),
    "form to sign in": (lambda _: Client(headers=BROWSER).get("/admin/login/"), 200, []),
    "signed out": (lambda client: client.post("/admin/logout/"), 302, []),
}


@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
def test_a_page_of_the_window_shows_all_of_itself(client: Client, window: None, page: Any) -> None:
    ask, status, has = page

    assert shown_under_a_policy(ask(client)) == (status, [], has)


def test_who_signs_in_in_the_window_sees_every_page(strict: None, window: None) -> None:
    client = Client(raise_request_exception=False, headers=BROWSER)
    asked = client.get(BOARD, follow=True)
    signed = client.post("/admin/login/", {"username": "admin", "password": "admin", "next": BOARD}, follow=True)

    assert (shown_under_a_policy(asked), shown_under_a_policy(signed)) == ((200, [], []), (200, [], ["style"]))


def test_the_pages_of_normal_mode_show_all_of_themselves(client: Client) -> None:
    assert shown_under_a_policy(client.get(BOARD)) == (200, [], ["style"])
    assert shown_under_a_policy(client.get("/with-banner/")) == (200, [], ["style", "script"])
    assert shown_under_a_policy(client.post(f"{BOARD}on/", {"eta": "soon"})) == (422, [], ["style"])
    assert shown_under_a_policy(client.post(f"{BOARD}on/", {"grace": "0s", "deadline": "9s"})) == (
        200,
        [],
        ["style"],
    )


def test_a_page_that_tells_of_the_switch_as_it_is_thrown_shows_all_of_itself(client: Client) -> None:
    assert shown_under_a_policy(client.post(f"{BOARD}on/", YES)) == (200, [], ["style"])
    assert shown_under_a_policy(client.post(f"{BOARD}off/", {"confirmed": "yes"})) == (200, [], ["style"])


def test_the_migrations_pages_show_all_of_themselves(client: Client, superuser: psycopg.Connection[Any]) -> None:
    superuser.execute("DELETE FROM django_migrations WHERE (app, name) = ('readonly_router', '0002_operators')")
    plan = client.post(f"{PLAN}run/", {"database": "default"}).context["plan"]

    assert shown_under_a_policy(client.get(PLAN)) == (200, [], ["style"])
    confirmed = {"database": "default", "plan": plan.digest, "confirmed": "yes"}
    assert shown_under_a_policy(client.post(f"{PLAN}run/", confirmed)) == (200, [], ["style"])
    # Done already: what is told of a failure.
    assert shown_under_a_policy(client.post(f"{PLAN}run/", confirmed)) == (200, [], ["style"])


def test_a_503_in_place_of_another_middlewares_page_has_a_policy_or_none_that_blocks_it(strict: None) -> None:
    disable_writes()
    counting = "tests.http.test_policy.counting"
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, counting]):
        answer = Client(raise_request_exception=False, headers=BROWSER).get("/tags/")
    enable_writes()

    assert answer.status_code == 503
    html = answer.content.decode()
    assert not answer.headers.get(HEADER) or blocked(html, answer.headers[HEADER]) == []


def counting(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        from tests.http.pages.counters import count

        count("seen")
        return get_response(request)

    return middleware


def test_a_site_without_a_policy_gets_no_nonce(shop: None) -> None:
    disable_writes()
    with override_settings(ROOT_URLCONF="tests.http.policy_urls", MIDDLEWARE=[FIRST]):
        html = Client(headers=BROWSER).post("/echo/").content.decode()

    assert "<style>" in html
    assert "nonce" not in html


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<p style='color: red'>", 1),
        ("<p onclick='x()'>", 1),
        ("<a href='javascript:x()'>", 1),
        ("<style>", 1),
        ("<style nonce='other'>", 1),
        ("<style nonce='right'>", 0),
        ("<script>", 1),
        ("<script nonce='right'>", 0),
        ("<script src='/x.js'>", 0),
        ("<script src='//elsewhere/x.js'>", 1),
        ("<link href='https://elsewhere/x.css'>", 1),
        ("<base href='/'>", 1),
    ],
)
def test_what_a_policy_forbids_is_seen(html: str, found: int) -> None:
    assert len(blocked(html, "style-src 'self' 'nonce-right'")) == found
