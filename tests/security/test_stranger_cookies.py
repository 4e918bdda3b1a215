"""Cookies that a stranger sends: changed, copied, old, signed out, or of somebody who may no longer come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.core import signing
from django.core.cache import cache
from django.test import override_settings

from readonly_router import disable_writes, enable_writes
from readonly_router.sessions import cookies
from tests.http.pages.conftest import switching  # noqa: F401 - a fixture
from tests.http.pages.engines import (
    NAME,
    browser,
    copy_of,
    session_cookie,
    sign_in,
    signed_in,
    signed_in_now,
    user_of,
)
from tests.security.strangers import made_before, opened
from tests.security.strangers import site as site  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.usefixtures("site")
DAY = 24 * 3600


def with_cookie(value: str) -> Any:
    made = browser()
    made.cookies[NAME] = value
    return made


def parts(cookie: str) -> tuple[str, str, str]:
    body, stamp, signature = cookie.rsplit(":", 2)
    return body, stamp, signature


def flipped(text: str, index: int) -> str:
    index %= len(text)
    return text[:index] + ("A" if text[index] != "A" else "B") + text[index + 1 :]


def resigned(cookie: str, **how: Any) -> str:
    held = {**opened(cookie), **how.pop("changed", {})}
    return cookies.PREFIX + signing.dumps(held, **{"salt": cookies.SALT, "compress": True, **how})


CHANGES: dict[str, Callable[[str, str], str]] = {
    "a letter at the beginning": lambda mine, _: flipped(mine, 4),
    "a letter in the middle": lambda mine, _: flipped(mine, len(mine) // 2),
    "a letter of the signature": lambda mine, _: flipped(mine, -2),
    "an earlier time": lambda mine, _: ":".join((parts(mine)[0], "1aaaaa", parts(mine)[2])),
    "a later time": lambda mine, _: ":".join((parts(mine)[0], "zzzzzz", parts(mine)[2])),
    "no time": lambda mine, _: ":".join((parts(mine)[0], "", parts(mine)[2])),
    "no signature": lambda mine, _: ":".join((*parts(mine)[:2], "")),
    "the signature of another's": lambda mine, other: ":".join((*parts(mine)[:2], parts(other)[2])),
    "the time and signature of another's": lambda mine, other: ":".join((parts(mine)[0], *parts(other)[1:])),
    "what another's holds": lambda mine, other: ":".join((parts(other)[0], *parts(mine)[1:])),
    "cut off": lambda mine, _: mine[:-5],
    "a letter more": lambda mine, _: f"{mine}A",
    "both, one after another": lambda mine, other: mine + other,
    "our mark twice": lambda mine, _: f"ro:{mine}",
    "our mark in capitals": lambda mine, _: mine.replace("ro:", "RO:", 1),
    "without our mark": lambda mine, _: mine.removeprefix("ro:"),
    "uncompressed": lambda mine, _: mine.replace("ro:.", "ro:", 1),
    "spelt as in an address": lambda mine, _: mine.replace(":", "%3A"),
    "a null before it": lambda mine, _: f"\0{mine}",
    "a blank in it": lambda mine, _: mine.replace(":", ": "),
    "signed with another key": lambda mine, _: resigned(mine, key="another key"),
    "signed without a key": lambda mine, _: resigned(mine, key=" "),
    "signed for Django's own cookie sessions": lambda mine, _: resigned(
        mine, salt="django.contrib.sessions.backends.signed_cookies"
    ),
    "signed for nothing": lambda mine, _: resigned(mine, salt="django.core.signing"),
    "very long": lambda mine, _: mine + "A" * 100_000,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_cookie_that_was_changed_is_nobodys_in_the_window_and_after_it(change: Callable[..., str]) -> None:
    disable_writes()
    admin, customer = browser(), browser()
    sign_in(admin, "admin")
    sign_in(customer)
    forged = change(session_cookie(admin), session_cookie(customer))

    assert user_of(with_cookie(forged)) == ""
    enable_writes()
    assert user_of(with_cookie(forged)) == ""


@pytest.mark.parametrize("key", ["", "x", "y" * 32, "adopted" + "0" * 25, "../../etc", "'; --", "z" * 10_000])
def test_a_key_that_a_stranger_makes_up_is_nobodys_and_leaves_nothing_behind(key: str) -> None:
    disable_writes()
    thief = with_cookie(key)
    assert user_of(thief) == ""
    before = len(cache._cache)  # type: ignore[attr-defined]  # of a cache within the process

    for path in ("/accounts/logout/", "/admin/logout/"):
        thief = with_cookie(key)
        thief.post(path)
        thief.get("/leave/")

    assert len(cache._cache) == before  # type: ignore[attr-defined]  # as above


# -- copies


@pytest.mark.parametrize("of", [signed_in, signed_in_now])
def test_every_copy_of_a_session_ends_with_it(of: Callable[[], Any]) -> None:
    if of is signed_in:
        client = signed_in()
        disable_writes()
    else:
        disable_writes()
        client = signed_in_now()
    copies = [copy_of(client)]
    for _ in range(2):
        client.get("/touch/")
        copies.append(copy_of(client))
    assert [user_of(copy_of(each)) for each in copies] == ["customer"] * 3
    client.post("/accounts/logout/")

    assert [user_of(copy_of(each)) for each in copies] == [""] * 3
    enable_writes()
    assert [user_of(copy_of(each)) for each in copies] == [""] * 3
    disable_writes()
    assert [user_of(copy_of(each)) for each in copies] == [""] * 3


def test_a_copy_keeps_nothing_alive_that_its_owner_ended_after_the_window() -> None:
    disable_writes()
    client = signed_in_now()
    thief = copy_of(client)
    enable_writes()
    assert user_of(client) == "customer"
    client.post("/accounts/logout/")

    assert [user_of(thief), user_of(copy_of(thief))] == ["", ""]
    disable_writes()
    assert user_of(copy_of(thief)) == ""


def test_a_cookie_of_one_window_is_nobodys_in_another(switching: Callable[..., Any]) -> None:  # noqa: F811 - it
    with switching(reason="one"):
        client = signed_in_now()
        assert user_of(copy_of(client)) == "customer"
    with switching(reason="another"):
        assert user_of(copy_of(client)) == ""


def test_a_cookie_of_another_site_with_another_key_is_nobodys() -> None:
    disable_writes()
    with override_settings(SECRET_KEY="another site's"):
        client = signed_in_now()

    assert user_of(copy_of(client)) == ""


def test_what_is_in_another_visitors_cookie_is_not_shown_to_who_signs_in_over_it() -> None:
    disable_writes()
    victim = signed_in_now()
    victim.get("/touch/")
    thief = copy_of(victim)
    sign_in(thief, "editor")

    assert thief.get("/session/").json() == {"user": "editor", "seen": 0}


def test_a_session_that_was_given_to_a_visitor_is_another_once_they_sign_in() -> None:
    disable_writes()
    thief = browser()
    thief.get("/touch/")
    victim = copy_of(thief)
    sign_in(victim)

    assert (user_of(victim), user_of(thief)) == ("customer", "")
    enable_writes()
    assert user_of(thief) == ""


# -- old ones


@pytest.mark.parametrize(("hours", "user"), [(1, "customer"), (23, "customer"), (25, ""), (24 * 365, "")])
def test_a_cookie_is_taken_in_for_a_day(hours: int, user: str) -> None:
    disable_writes()
    old = made_before(session_cookie(signed_in_now()), seconds=hours * 3600)
    enable_writes()

    assert user_of(with_cookie(old)) == user


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(("until", "user"), [(-1, ""), (-DAY, ""), (3600, "customer")])
def test_a_cookie_past_its_end_is_nobodys(until: float, user: str, read_only: bool) -> None:
    disable_writes()
    cookie = session_cookie(signed_in_now())
    found = opened(cookie)["until"] - int(cookies.conf.of_the_project("SESSION_COOKIE_AGE"))
    old = made_before(cookie, seconds=0, until=found + until)
    if not read_only:
        enable_writes()

    assert user_of(with_cookie(old)) == user


# -- who may no longer come in

ENDED = {
    "inactive": "UPDATE auth_user SET is_active = false WHERE username = 'admin'",
    "another password": "UPDATE auth_user SET password = 'md5$x$y' WHERE username = 'admin'",
    "no password": "UPDATE auth_user SET password = '!' WHERE username = 'admin'",
    "deleted": "DELETE FROM auth_user WHERE username = 'admin'",
}
LESS = {
    "no longer staff": "UPDATE auth_user SET is_staff = false, is_superuser = false WHERE username = 'admin'",
    "no longer superuser": "UPDATE auth_user SET is_superuser = false WHERE username = 'admin'",
}


@pytest.fixture
def happens(superuser: psycopg.Connection[Any]) -> Callable[[str], None]:
    """Change a user behind the site, as an operator may in the window."""

    def happen(statement: str) -> None:
        with superuser.transaction():
            superuser.execute("SET LOCAL session_replication_role = replica")
            superuser.execute(statement)

    return happen


def admins(when: str) -> Any:
    client = browser()
    if when == "before":
        sign_in(client, "admin")
        disable_writes()
    else:
        disable_writes()
        sign_in(client, "admin")
    if when == "changed since":
        client.get("/touch/")
    assert client.get("/admin/read-only/").status_code == 200
    return client


@pytest.mark.parametrize("when", ["before", "within", "changed since"])
@pytest.mark.parametrize("statement", ENDED.values(), ids=list(ENDED))
def test_who_may_no_longer_come_in_is_out_at_once(
    happens: Callable[[str], None], statement: str, when: str
) -> None:
    client = admins(when)
    thief = copy_of(client)
    happens(statement)

    assert (user_of(client), user_of(thief)) == ("", "")
    assert client.get("/admin/read-only/").status_code == 302
    again = browser()
    assert sign_in(again, "admin") == 200  # the form once more
    assert user_of(again) == ""
    enable_writes()
    assert user_of(thief) == ""


@pytest.mark.parametrize("when", ["before", "within", "changed since"])
@pytest.mark.parametrize(
    ("statement", "status"), list(zip(LESS.values(), (302, 403), strict=True)), ids=list(LESS)
)
def test_who_may_do_less_does_less_at_once(
    happens: Callable[[str], None], statement: str, status: int, when: str
) -> None:
    client = admins(when)
    happens(statement)

    for path in ("/admin/read-only/", "/admin/read-only/live.js", "/admin/migrations/"):
        assert client.get(path).status_code == status
    for path in ("/admin/read-only/off/", "/admin/read-only/on/", "/admin/migrations/run/"):
        assert client.post(path, {"confirmed": "yes", "grace": "0s", "deadline": "5s"}).status_code == status
