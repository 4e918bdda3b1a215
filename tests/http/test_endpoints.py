"""The status and health endpoints, and what templates know of the window."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from django.db import connections
from django.template import engines
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from readonly_router import disable_writes
from readonly_router.context_processors import read_only
from tests.database import entry
from tests.switch.follower import following_anew, met_on

ETA = datetime.now(timezone.utc) + timedelta(minutes=30)


@pytest.fixture
def client(shop: None) -> Iterator[Client]:
    with override_settings(
        ROOT_URLCONF="tests.http.api", MIDDLEWARE=["readonly_router.middleware.ReadOnlyMiddleware"]
    ):
        yield Client()


@pytest.fixture
def switched() -> Iterator[None]:
    """What a process knows once it followed a switch."""
    with following_anew():
        met_on(reason="<b>moving</b>", eta=ETA)
        yield


def banner() -> str:
    template = engines["django"].from_string("{% load read_only %}{% read_only_banner %}")
    return str(template.render({}))


def test_status_tells_that_all_is_writable(client: Client) -> None:
    answer = client.get("/read-only/status/")

    silent = {"reason": "", "since": None, "eta": None, "retry_after": None}
    assert answer.json() == {"known": True, "read_only": False, **silent}
    assert answer["Cache-Control"] == "public, max-age=1"


def test_status_tells_the_window_and_not_who(client: Client, switched: None) -> None:
    found = client.get("/read-only/status/").json()

    assert (found["read_only"], found["reason"]) == (True, "<b>moving</b>")
    assert found["eta"] == ETA.isoformat()
    assert "ops" not in str(found)


def test_status_asks_the_database_nothing_in_normal_mode(client: Client) -> None:
    connections["default"].ensure_connection()

    with CaptureQueriesContext(connections["default"]) as queries:
        client.get("/read-only/status/")

    assert len(queries) == 0


@pytest.mark.parametrize("read_only_mode", [False, True])
def test_health_is_well_in_both_modes(client: Client, read_only_mode: bool) -> None:
    if read_only_mode:
        disable_writes()

    answer = client.get("/read-only/health/")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "read_only": read_only_mode})


def test_health_is_unavailable_where_the_database_is(client: Client) -> None:
    disable_writes()
    with entry("readonly", PORT="1"):
        answer = client.get("/read-only/health/")

    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})


@pytest.mark.parametrize("path", ["/read-only/status/", "/read-only/health/"])
def test_an_endpoint_only_answers_reads(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


def test_read_only_is_false_in_templates_of_normal_mode(shop: None) -> None:
    assert not read_only(None)["read_only"]


def test_read_only_carries_the_window_in_templates(shop: None, switched: None) -> None:
    found = read_only(None)["read_only"]

    assert found
    assert (found.reason, found.eta) == ("<b>moving</b>", ETA)


def test_the_banner_escapes_the_reason(shop: None, switched: None) -> None:
    assert "&lt;b&gt;moving&lt;/b&gt;" in banner()


def test_the_banner_is_absent_in_normal_mode_without_the_endpoint(shop: None) -> None:
    assert banner().strip() == ""


@override_settings(ROOT_URLCONF="tests.http.api")
def test_the_banner_waits_hidden_where_it_can_follow(shop: None) -> None:
    assert " hidden" in banner()


def test_an_eta_that_has_passed_is_not_promised(shop: None) -> None:
    with following_anew():
        met_on(eta=datetime.now(timezone.utc) - timedelta(minutes=1))
        found = read_only(None)["read_only"]

    assert found.eta is None
    assert found.retry_after == 60
