"""Signing in while read-only, with database sessions and with ours: what Django writes on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model, user_logged_in
from django.contrib.auth.models import User, update_last_login
from django.http import HttpRequest
from django.test import AsyncClient, override_settings

from readonly_router import ReadOnlyError, disable_writes
from tests.example.shop.models import PageView
from tests.http.pages.engines import (
    COOKIES,
    NAME,
    PREFERRED,
    browser,
    copy_of,
    session_cookie,
    sign_in,
    signed_in,
    user_of,
)

# Who was signed in before stays so, with every engine.


def test_who_was_signed_in_stays_signed_in(engine: Any, unchanged: Callable[[], None]) -> None:
    client = signed_in()
    unchanged()

    assert [user_of(client) for _ in range(3)] == ["customer"] * 3


def test_who_is_not_signed_in_can_read(engine: Any, unchanged: Callable[[], None]) -> None:
    unchanged()
    client = browser()

    assert [client.get(path).status_code for path in ("/", "/tags/", "/accounts/login/")] == [200] * 3
    assert user_of(client) == ""


def test_signing_in_again_writes_no_last_login_and_no_new_hash(engine: Any, unchanged: Callable[[], None]) -> None:
    client = signed_in()
    with override_settings(PASSWORD_HASHERS=PREFERRED):
        unchanged()

        assert sign_in(client) == 302
        assert user_of(client) == "customer"


# Signing in.


def test_signing_in_works_with_our_engine(cookies: None, unchanged: Callable[[], None]) -> None:
    unchanged()
    client = browser()

    assert sign_in(client) == 302
    assert user_of(client) == "customer"
    assert session_cookie(client).startswith("ro:")


def test_signing_in_at_the_admin_works_with_our_engine(cookies: None, unchanged: Callable[[], None]) -> None:
    unchanged()
    client = browser()
    answer = client.post("/admin/login/?next=/admin/", {"username": "admin", "password": "admin"})

    assert answer.status_code == 302
    assert client.get("/admin/").status_code == 200


def test_signing_in_upgrades_no_hash_with_our_engine(cookies: None, unchanged: Callable[[], None]) -> None:
    unchanged()
    with override_settings(PASSWORD_HASHERS=PREFERRED):
        client = browser()

        assert sign_in(client) == 302
        assert user_of(client) == "customer"


def test_signing_in_does_not_seem_to_work_with_database_sessions(
    plain: None, unchanged: Callable[[], None]
) -> None:
    unchanged()
    client = browser()

    assert sign_in(client) == 503
    assert user_of(client) == ""
    assert session_cookie(client) == ""


def test_signing_in_says_so_again_once_the_engine_is_known(plain: None, unchanged: Callable[[], None]) -> None:
    unchanged()

    assert [sign_in(browser()) for _ in range(2)] == [503, 503]


def test_a_visitor_with_a_session_keeps_it_where_signing_in_does_not_work(
    plain: None, unchanged: Callable[[], None]
) -> None:
    client = browser()
    client.get("/touch/")
    before = session_cookie(client)
    unchanged()

    assert sign_in(client) == 503
    assert (session_cookie(client), user_of(client)) == (before, "")
    assert client.get("/session/").json()["seen"] == 1


def test_another_user_cannot_sign_in_over_the_first_with_database_sessions(
    plain: None, unchanged: Callable[[], None]
) -> None:
    client = signed_in("customer")
    unchanged()

    assert sign_in(client, "editor") == 503
    assert user_of(client) != "editor"


def test_another_user_signs_in_over_the_first_with_our_engine(
    cookies: None, unchanged: Callable[[], None]
) -> None:
    client = signed_in("customer")
    thief = copy_of(client)
    unchanged()

    assert sign_in(client, "editor") == 302
    assert user_of(client) == "editor"
    assert user_of(thief) == ""


@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_password_is_a_wrong_password(engine: Any, unchanged: Callable[[], None], password: str) -> None:
    unchanged()
    answer = browser().post("/accounts/login/", {"username": "customer", "password": password})

    assert answer.status_code == 200
    assert answer["Read-Only"] == "?1"


def test_signing_in_works_as_ever_in_normal_mode(engine: Any) -> None:
    client = browser()
    user = get_user_model()._default_manager.get(username="customer")
    with override_settings(PASSWORD_HASHERS=PREFERRED):
        assert sign_in(client) == 302

        after = get_user_model()._default_manager.get(username="customer")
        assert user_of(client) == "customer"
    assert after.last_login != user.last_login
    assert after.password.startswith("light$")  # type: ignore[attr-defined]  # a user has one


def test_an_asynchronous_check_upgrades_no_hash(pages: None, unchanged: Callable[[], None]) -> None:
    unchanged()
    user = User.objects.get(username="customer")
    with override_settings(PASSWORD_HASHERS=PREFERRED):
        assert async_to_sync(user.acheck_password)("customer")
        assert user.check_password("customer")


def test_a_hash_is_upgraded_by_whoever_imported_the_check_by_name(pages: None) -> None:
    from django.contrib.auth.hashers import check_password

    upgraded: list[str] = []
    user = User.objects.get(username="customer")
    with override_settings(PASSWORD_HASHERS=PREFERRED):
        assert check_password("customer", user.password, upgraded.append)
        disable_writes()
        assert check_password("customer", user.password, upgraded.append)

    assert upgraded == ["customer"]


def test_a_last_login_is_skipped_by_whoever_calls_for_it(pages: None, unchanged: Callable[[], None]) -> None:
    unchanged()

    update_last_login(None, User.objects.get(username="customer"))


def test_a_receiver_of_the_sites_own_that_writes_is_refused_and_named(
    cookies: None, unchanged: Callable[[], None]
) -> None:
    user_logged_in.connect(count_sign_in)
    unchanged()
    try:
        client = browser()
        assert sign_in(client) == 503
        assert user_of(client) == ""
    finally:
        user_logged_in.disconnect(count_sign_in)


def count_sign_in(**_: Any) -> None:
    PageView.objects.create(path="sign in")


def test_a_session_without_a_request_of_ours_is_refused_by_postgres(plain: None) -> None:
    from django.contrib.auth import authenticate, login

    from tests.http.pages.engines import store

    disable_writes()
    request = HttpRequest()
    request.session = store()()
    user = authenticate(username="customer", password="customer")

    with pytest.raises(ReadOnlyError):
        login(request, user)


# Asynchronous views.


def test_sessions_of_asynchronous_views_work(engine: dict[str, str], unchanged: Callable[[], None]) -> None:
    client = signed_in()
    unchanged()

    async def ask() -> list[Any]:
        other = AsyncClient()
        other.cookies[NAME] = session_cookie(client)
        return [(await other.get("/asession/")).json() for _ in range(2)]

    kept = [1, 2] if engine in COOKIES.values() else [1, 1]
    assert async_to_sync(ask)() == [{"user": "customer", "seen": seen} for seen in kept]


def test_signing_in_works_in_the_asynchronous_handler(cookies: None, unchanged: Callable[[], None]) -> None:
    unchanged()

    async def ask() -> Any:
        client = AsyncClient()
        await client.post("/accounts/login/", {"username": "customer", "password": "customer"})
        return (await client.get("/asession/")).json()

    assert async_to_sync(ask)() == {"user": "customer", "seen": 1}
