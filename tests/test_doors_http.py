"""The example site's pages in a read-only process: GET answers as before, POST leaves the data as it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from readonly_router import ReadOnlyError, disable_writes, enable_writes
from tests.database import entry, logins
from tests.example.shop.models import Order, Product, Tag

# A token is masked anew in each answer, and the mode has a banner.
TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="[^"]+"')
BANNER = re.compile(rb"<!--mode-->.*?<!--/mode-->", re.DOTALL)
MODELS = ["category", "tag", "product", "order", "orderline", "pageview", "daily", "bestseller", "categorystock"]

PUBLIC = [
    "/",
    "/?category=tea",
    "/products/earl-grey/",
    "/figures/",
    "/order/?sku=SHOP-001",
    "/tags/",
    "/api/products/",
    "/accounts/login/",
    "/accounts/password_reset/",
    "/no-such-page/",
]
ADMIN = [
    "/orders/",
    "/accounts/password_change/",
    "/admin/",
    "/admin/shop/",
    "/admin/auth/user/",
    "/admin/auth/user/add/",
    "/admin/password_change/",
    *[f"/admin/shop/{model}/" for model in MODELS],
    "/admin/shop/product/?q=tea",
    "/admin/shop/product/add/",
]


@pytest.fixture
def unchanged(checksum: Callable[[], str], client: Client) -> Iterator[None]:
    before = checksum()
    yield
    assert checksum() == before


@pytest.fixture
def admin(shop: None) -> Client:
    """A browser whose user signed in before the mode began."""
    client = Client(raise_request_exception=False)
    assert client.login(username="admin", password="admin")
    return client


def objects_in_the_admin() -> list[str]:
    product, order, tag = Product.objects.get(sku="SHOP-001"), Order.objects.all()[0], Tag.objects.all()[0]
    pages = [f"product/{product.pk}/change", f"product/{product.pk}/history", f"product/{product.pk}/delete"]
    pages += [f"order/{order.pk}/change", f"order/{order.pk}/delete", f"tag/{tag.pk}/change"]
    return [f"/admin/shop/{page}/" for page in pages] + [order.get_absolute_url()]


def answers(client: Client, paths: list[str]) -> dict[str, tuple[int, bytes]]:
    found = {path: client.get(path) for path in paths}
    return {path: (answer.status_code, _text(answer)) for path, answer in found.items()}


def _text(answer: Any) -> bytes:
    return BANNER.sub(b"", TOKEN.sub(b"", answer.getvalue()))


def test_public_pages_answer_as_before(checksum: Callable[[], str]) -> None:
    client = Client()
    before = answers(client, PUBLIC)
    digest = checksum()

    disable_writes()

    assert answers(client, PUBLIC) == before
    assert checksum() == digest


def test_pages_of_a_signed_in_user_answer_as_before(admin: Client, checksum: Callable[[], str]) -> None:
    pages = ADMIN + objects_in_the_admin()
    before = answers(admin, pages)
    digest = checksum()

    disable_writes()

    assert answers(admin, pages) == before
    assert {status for status, _ in before.values()} == {200}
    assert checksum() == digest


def test_a_page_that_counts_its_readers_is_refused(unchanged: None) -> None:
    disable_writes()

    assert Client().get("/visits/").status_code == 503


POSTS: dict[str, tuple[str, dict[str, Any]]] = {
    "order": ("/order/", {"email": "door@example.com", "quantity_SHOP-001": 1}),
    "tag": ("/tags/", {"name": "door"}),
    "sign in": ("/accounts/login/", {"username": "customer", "password": "customer"}),
    "change of password": (
        "/accounts/password_change/",
        {"old_password": "admin", "new_password1": "a-door-in-2025", "new_password2": "a-door-in-2025"},
    ),
    "admin: add": ("/admin/shop/tag/add/", {"name": "door"}),
    "admin: add a category": ("/admin/shop/category/add/", {"name": "Door", "slug": "door"}),
    "admin: action": ("/admin/shop/order/", {"action": "delete_selected", "post": "yes"}),
    "admin: delete an order": ("/admin/shop/order/{order}/delete/", {"post": "yes"}),
}


@pytest.mark.parametrize("name", POSTS)
def test_a_post_of_a_signed_in_user_is_refused(admin: Client, unchanged: None, name: str) -> None:
    path, fields = POSTS[name]
    order = Order.objects.all()[0].pk

    disable_writes()
    answer = admin.post(path.format(order=order), {**fields, "_selected_action": order})

    assert answer.status_code == 503


def test_signing_out_is_not_refused(admin: Client, unchanged: None) -> None:
    # Its session stays in the database; the browser forgets it.
    disable_writes()

    assert admin.post("/accounts/logout/").status_code == 302
    assert admin.cookies["sessionid"].value == ""


def test_signing_in_outside_of_a_request_is_refused(unchanged: None) -> None:
    disable_writes()

    with pytest.raises(ReadOnlyError):
        Client().login(username="customer", password="customer")


@pytest.fixture
def atomic_requests(shop: None) -> Iterator[None]:
    with entry("default", ATOMIC_REQUESTS=True):
        yield


@pytest.mark.parametrize("path", ["/", "/figures/", "/order/"])
def test_a_request_in_atomic_requests_opens_one_connection_to_the_writer(atomic_requests: None, path: str) -> None:
    with logins() as seen:
        assert Client().get(path).status_code == 200

    assert seen == ["default"]


@pytest.mark.parametrize("path", ["/", "/figures/", "/order/"])
def test_a_request_in_atomic_requests_opens_one_connection_to_the_twin(atomic_requests: None, path: str) -> None:
    disable_writes()

    with logins() as seen:
        assert Client().get(path).status_code == 200

    assert seen == ["readonly"]


def test_a_post_in_atomic_requests_is_refused(atomic_requests: None, unchanged: None) -> None:
    path, fields = POSTS["order"]
    disable_writes()

    assert Client().post(path, fields).status_code == 503


def test_a_post_in_atomic_requests_works_again_in_normal_mode(atomic_requests: None) -> None:
    path, fields = POSTS["order"]
    disable_writes()
    Client().post(path, fields)

    enable_writes()

    assert Client().post(path, fields).status_code == 302
