"""A twin that cannot log in: commands end in one line, the log says it once, and visitors get their own page."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory
from django.utils import translation

from readonly_router import ReadOnlyRouterError, disable_writes, mode
from readonly_router.connections import twin_logins
from readonly_router.http.unreachable import unreachable
from readonly_router.middleware import ReadOnlyMiddleware
from tests import database
from tests.example.shop.models import Product
from tests.switch.follower import following_anew, met_on

SAID = "cannot be shown at the moment"
REMEDY = "run manage.py create_readonly_role, or give its password (DB_READONLY_PASSWORD"
LOGGED = "The twin 'readonly' cannot log in"
WRONG = "not-the-twins-password"
NOBODY = {"USER": "nobody_of_that_name", "PASSWORD": WRONG}


@pytest.fixture(params=["process", "switch"])
def shut_out(request: pytest.FixtureRequest, shop: None) -> Iterator[None]:
    """Be read-only by the process or by the switch, with a twin that cannot log in."""
    twin_logins.worked("readonly")
    with following_anew():
        disable_writes() if request.param == "process" else met_on()
        connections.close_all()
        with database.entry("readonly", **NOBODY):
            yield
        mode.set_process(None)
    twin_logins.worked("readonly")


@pytest.mark.usefixtures("shut_out")
def test_a_query_raises_one_sentence_with_the_remedy() -> None:
    with pytest.raises(OperationalError, match="cannot log in") as told:
        Product.objects.count()
    assert isinstance(told.value, ReadOnlyRouterError)
    assert REMEDY in str(told.value)
    assert "\n" not in str(told.value)
    assert WRONG not in str(told.value)


@pytest.mark.usefixtures("shut_out")
def test_it_is_logged_once_until_it_works_again(caplog: pytest.LogCaptureFixture) -> None:
    def ask() -> None:
        with pytest.raises(OperationalError):
            Product.objects.count()

    for _ in range(3):
        ask()
    found = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.name for record in found] == ["readonly_router"]
    assert REMEDY in found[0].getMessage()

    right = {name: connections.settings["default"][name] for name in NOBODY}
    with database.entry("readonly", **right), pytest.raises(ReadOnlyRouterError, match="logs in as the writer"):
        Product.objects.count()  # it may log in, but not serve
    ask()
    assert caplog.text.count(LOGGED) == 1


def test_it_is_logged_again_after_it_worked(shop: None, caplog: pytest.LogCaptureFixture) -> None:
    disable_writes()
    try:
        for _ in range(2):
            with database.entry("readonly", **NOBODY), pytest.raises(OperationalError):
                Product.objects.count()
            Product.objects.count()
    finally:
        mode.set_process(None)
    assert caplog.text.count(LOGGED) == 2
    assert caplog.text.count("can log in again") == 2


def test_in_normal_mode_nothing_is_logged_of_it(shop: None, caplog: pytest.LogCaptureFixture) -> None:
    with database.entry("readonly", **NOBODY), pytest.raises(OperationalError, match="cannot log in"):
        Product.objects.using("readonly").count()
    assert LOGGED not in caplog.text


# -- what visitors get


@pytest.mark.usefixtures("shut_out")
def test_a_visitor_is_told_that_the_site_cannot_be_shown() -> None:
    answer = Client(headers={"accept": "text/html"}).get("/")
    assert (answer.status_code, answer["Retry-After"], answer["Cache-Control"]) == (503, "60", "no-store")
    page = answer.content.decode()
    assert SAID in page
    assert "Read-only" not in page
    assert "nothing can be saved" not in page
    assert "nobody_of_that_name" not in page


@pytest.mark.usefixtures("shut_out")
def test_a_program_is_told_so_as_problem_details() -> None:
    answer = Client(headers={"accept": "application/json"}).get("/api/products/")
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")
    told = json.loads(answer.content)
    assert SAID in told["detail"]
    assert told["retry_after"] == 60


@pytest.mark.usefixtures("shut_out")
def test_htmx_is_told_so_by_a_fragment() -> None:
    answer = Client(headers={"hx-request": "true"}).get("/")
    assert SAID in answer.content.decode()
    assert "<html" not in answer.content.decode()


@pytest.mark.usefixtures("shut_out")
def test_a_stream_that_reads_before_its_first_byte_is_answered_so() -> None:
    def view(_request: Any) -> StreamingHttpResponse:
        return StreamingHttpResponse(str(Product.objects.count()) for _ in range(1))

    answer = ReadOnlyMiddleware(view)(RequestFactory().get("/", headers={"accept": "text/html"}))
    assert isinstance(answer, HttpResponse)
    assert SAID in answer.content.decode()


@pytest.mark.usefixtures("shut_out")
def test_django_logs_no_error_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    client = Client()
    client.cookies["sessionid"] = "of-somebody"
    for _ in range(2):
        assert client.get("/orders/").status_code == 503
    assert [record.name for record in caplog.records if record.levelno >= logging.ERROR] == ["readonly_router"]


@pytest.mark.parametrize("language", ["de", "es", "fr", "ja", "pt"])
def test_the_page_speaks_the_visitors_language(language: str) -> None:
    with translation.override(language):
        page = unreachable(RequestFactory().get("/", headers={"accept": "text/html"})).content.decode()
    assert f'lang="{language}"' in page
    assert SAID not in page
