"""Sessions that no cookie can carry: pages stay readable, and what is lost is told."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from django.contrib.sessions.models import Session

from readonly_router import read_only
from readonly_router.errors import SessionTooLargeError
from tests.http.pages.engines import (
    NAME,
    browser,
    seen,
    session_cookie,
    signed_in,
    store,
    user_of,
)

pytestmark = pytest.mark.usefixtures("cookies")


def test_a_page_whose_session_grew_too_large_can_be_read_and_the_loss_is_told(
    unchanged: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    client = signed_in()
    unchanged()
    before = session_cookie(client)

    assert client.get("/fill/?size=2000").status_code == 200
    assert (session_cookie(client), user_of(client)) == (before, "customer")
    (said,) = [record.getMessage() for record in caplog.records if "does not fit" in record.getMessage()]
    assert "keep less in it" in said


def test_a_new_session_that_is_too_large_leaves_no_cookie(unchanged: Callable[[], None]) -> None:
    unchanged()
    client = browser()

    assert client.get("/fill/?size=2000").status_code == 200
    assert NAME not in client.cookies


def test_signing_in_by_a_link_with_a_session_that_is_too_large_is_the_503(unchanged: Callable[[], None]) -> None:
    unchanged()
    client = browser()

    assert client.get("/link-in/?size=2000").status_code == 503
    assert user_of(client) == ""


def test_an_unsafe_request_whose_session_grew_too_large_is_the_503_and_told(
    unchanged: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    client = signed_in()
    unchanged()

    assert client.post("/fill-open/?size=2000").status_code == 503
    assert user_of(client) == "customer"
    assert any("does not fit into a cookie" in record.getMessage() for record in caplog.records)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_outside_of_requests_a_session_that_is_too_large_is_an_error() -> None:
    session = store()()
    session["much"] = "".join(str(number * 7919 % 99991) for number in range(2000))

    with read_only(), pytest.raises(SessionTooLargeError, match="keep less in it"):
        session.save()


def test_a_session_that_fits_is_within_what_browsers_keep(unchanged: Callable[[], None]) -> None:
    unchanged()
    client = browser()
    sizes = []
    for size in range(100, 1200, 100):
        answer = client.get(f"/fill/?size={size}")
        if NAME in answer.cookies:
            sizes.append(len(answer.cookies[NAME].OutputString()))

    assert 3000 < max(sizes) < 4096


def test_the_stored_rows_are_what_they_were(unchanged: Callable[[], None]) -> None:
    client = signed_in()
    rows = Session.objects.count()
    unchanged()
    seen(client)
    client.post("/accounts/logout/")

    assert Session.objects.count() == rows
