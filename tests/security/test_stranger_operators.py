"""The operators' page and the migrations page: nothing is seen or done without sign-in, permission and token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.middleware.csrf import get_token
from django.test import Client, RequestFactory, override_settings

from readonly_router import disable_writes, enable_writes, is_read_only, mode
from readonly_router.models import Event
from tests.http.pages.engines import sign_in
from tests.security.strangers import site as site  # noqa: PLC0414 - a fixture

BOARD, PLAN = "/admin/read-only/", "/admin/migrations/"
READ = [BOARD, f"{BOARD}live.js", PLAN]
ACT = [f"{BOARD}on/", f"{BOARD}off/", f"{PLAN}run/"]
METHODS = ["get", "head", "post", "put", "patch", "delete", "options", "trace"]
CONFIRMED = {"confirmed": "yes", "grace": "0s", "deadline": "5s", "reason": "mine", "database": "default"}
MODES = {"writable": enable_writes, "read-only": disable_writes}
# What only an operator may see.
SECRETS = ["read-only-on-form", "read-only-off-form", "migrations-run", "read-only-facts", "Sessions of"]


@pytest.fixture(params=list(MODES))
def in_mode(request: pytest.FixtureRequest, site: None) -> Iterator[Callable[[], None]]:
    """Begin a mode once everybody has signed in; nothing is thrown and nothing recorded by the end."""
    yield MODES[request.param]
    mode.set_process(None)
    assert not is_read_only()
    assert Event.objects.count() == 0


def nobody() -> Client:
    return Client(raise_request_exception=False)


def somebody(name: str, *permissions: str) -> Client:
    client = nobody()
    if permissions:
        user = User.objects.create_user(name, password=name, is_staff=name != "outsider")
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert sign_in(client, name) == 302
    return client


PEOPLE: dict[str, tuple[Callable[[], Client], set[str]]] = {
    "a stranger": (nobody, set()),
    "a customer": (lambda: somebody("customer"), set()),
    "an editor": (lambda: somebody("editor"), set()),
    "all permissions, and not of the staff": (
        lambda: somebody("outsider", "switch", "migrate"),
        set(),
    ),
    "who may only look": (lambda: somebody("viewer", "view_event"), {*READ[:2]}),
    "who may only migrate": (lambda: somebody("migrator", "migrate"), {PLAN, f"{PLAN}run/"}),
}


@pytest.mark.parametrize("person", PEOPLE)
def test_nothing_is_seen_or_done_without_the_permission(in_mode: Callable[[], None], person: str) -> None:
    make, allowed = PEOPLE[person]
    client = make()
    in_mode()
    signed_out_or_no_staff = person in {"a stranger", "a customer", "all permissions, and not of the staff"}

    for path in [each for each in (*READ, *ACT) if each not in allowed]:
        for method in METHODS:
            answer = client.generic(method.upper(), path, "confirmed=yes", "application/x-www-form-urlencoded")
            expected = {302} if signed_out_or_no_staff else {403, 405}
            assert answer.status_code in expected, (path, method)
            if answer.status_code == 302:
                assert answer["Location"].startswith("/admin/login/?next=")
            assert not any(each in answer.content.decode() for each in SECRETS)


@pytest.mark.parametrize("path", ACT)
@pytest.mark.parametrize("person", ["a stranger", "a customer", "an editor", "who may only look"])
def test_a_confirmation_without_the_permission_does_nothing(
    in_mode: Callable[[], None], person: str, path: str
) -> None:
    client = PEOPLE[person][0]()
    in_mode()

    overridden = {"X-HTTP-Method-Override": "POST"}
    assert client.post(path, CONFIRMED).status_code in {302, 403}
    assert client.post(f"{path}?confirmed=yes", CONFIRMED, headers=overridden).status_code in {302, 403}


@pytest.mark.parametrize("path", ACT)
def test_who_appears_signed_out_may_do_nothing_without_the_permission(site: None, path: str) -> None:
    client = somebody("editor")
    disable_writes()
    with override_settings(READONLY_ROUTER_VISITORS="anonymous"):
        assert client.post(path, CONFIRMED).status_code in {302, 403}
        assert nobody().post(path, CONFIRMED).status_code == 302


# -- without the token

ELSEWHERE = {"Origin": "https://elsewhere.example"}


def token() -> str:
    return get_token(RequestFactory().get("/"))


# The fields, the cookie and the headers of a request that the operator's browser was made to send.
FORGERIES: dict[str, Callable[[str], tuple[dict[str, str], str, dict[str, str]]]] = {
    "no token": lambda own: ({}, own, {}),
    "an empty token": lambda own: ({"csrfmiddlewaretoken": ""}, own, {}),
    "another's token": lambda own: ({"csrfmiddlewaretoken": token()}, own, {}),
    "half of the token": lambda own: ({"csrfmiddlewaretoken": own[: len(own) // 2]}, own, {}),
    "no cookie": lambda own: ({"csrfmiddlewaretoken": own}, "", {}),
    "from elsewhere": lambda own: ({"csrfmiddlewaretoken": own}, own, ELSEWHERE),
    "from nowhere": lambda own: ({"csrfmiddlewaretoken": own}, own, {"Origin": "null"}),
    "the token in the address": lambda own: ({}, own, {"Referer": f"/?csrfmiddlewaretoken={own}"}),
    "another's in a header": lambda own: ({}, own, {"X-CSRFToken": token()}),
    "as JSON": lambda own: ({}, own, {"Content-Type": "application/json"}),
    "as HTMX": lambda own: ({}, own, {"HX-Request": "true"}),
    "as a script": lambda own: ({}, own, {"X-Requested-With": "XMLHttpRequest"}),
}


@pytest.mark.parametrize("path", ACT)
@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=list(FORGERIES))
def test_a_request_that_another_site_made_an_operator_send_is_refused(
    in_mode: Callable[[], None], forgery: Callable[[str], Any], path: str
) -> None:
    signed = somebody("admin")
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.cookies = signed.cookies
    in_mode()
    client.get("/admin/password_change/")
    fields, cookie, headers = forgery(client.cookies["csrftoken"].value)
    client.cookies["csrftoken"] = cookie

    answer = client.post(path, {**CONFIRMED, **fields}, headers=headers)

    assert answer.status_code == 403
    assert not any(each in answer.content.decode() for each in SECRETS)


@pytest.mark.parametrize("path", [f"{BOARD}on/", f"{BOARD}off/"])
def test_the_token_of_the_page_itself_is_taken(site: None, path: str) -> None:
    signed = somebody("admin")
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.cookies = signed.cookies
    client.get("/admin/password_change/")

    # Not confirmed: the question.
    fields = {**CONFIRMED, "csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    del fields["confirmed"]
    assert client.post(path, fields).status_code == 200


# -- where it leads


@pytest.mark.parametrize(
    "leads", ["//elsewhere.example/", "https://elsewhere.example/", "javascript:alert(1)", "\\\\elsewhere.example"]
)
def test_signing_in_in_the_window_leads_to_no_other_site(site: None, leads: str) -> None:
    disable_writes()
    client = nobody()
    answer = client.post("/admin/login/", {"username": "admin", "password": "admin", "next": leads})

    assert answer.status_code == 302
    assert "elsewhere" not in answer["Location"]
    assert "javascript" not in answer["Location"]


@pytest.mark.parametrize("alias", ["readonly", "nowhere", "default'--", "../default", "<b>", "default&x=1"])
def test_no_other_database_is_reached_by_its_name(site: None, alias: str) -> None:
    client = somebody("admin")
    before = Event.objects.count()

    assert client.get(PLAN, {"database": alias}).status_code == 404
    assert client.post(f"{PLAN}run/", {**CONFIRMED, "database": alias}).status_code == 404
    assert Event.objects.count() == before
