"""The real switch, thrown in the admin by a browser: its progress, its receipt, and the way back out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from tests.http.operating import (
    GUNICORN,
    THREADS,
    UVICORN,
    Visitor,
    confirmation,
    end_sessions,
    is_read_only,
    read_until,
    signed_in,
    throw,
    transaction_at_work,
    wait_for,
)
from tests.site import Site

Serve = Callable[..., str]
Kind = tuple[tuple[str, ...], dict[str, str]]
BOARD = "/admin/read-only/"
PROVED, UNDONE, OPENED = "Read-only, and proved", "so the switch was undone", "Writable again"
# Kinds of servers, each odd in more than one way.
PLAIN: Kind = (GUNICORN, {"OPERATORS_ATOMIC": "1", "OPERATORS_SESSIONS": "django.contrib.sessions.backends.db"})
NOBODYS: Kind = (UVICORN, {"OPERATORS_VISITORS": "anonymous"})
POOLED: Kind = (THREADS, {"EXAMPLE_POOL": "1", "OPERATORS_UNSAFE": "as_get"})


def last_event(made: Site) -> Any:
    """Return kind, operator, reason, receipt and ETA of the last event."""
    return made.superuser.execute(
        'SELECT kind, "by", reason, receipt, eta - at FROM readonly_router_event ORDER BY id DESC LIMIT 1'
    ).fetchone()


# -- the switch is thrown


def test_the_receipt_is_shown_and_kept_with_the_operator(made: Site, admin: Visitor) -> None:
    answer = throw(admin, "on", reason="pg 18", eta="30m")

    kind, by, reason, receipt, lasts = last_event(made)
    assert PROVED in answer.text
    assert "new sessions of" in answer.text
    (shown,) = re.findall(r"<pre[^>]*>(\{.*?)</pre>", answer.html, re.DOTALL)
    assert json.loads(unescape(shown)) == receipt
    assert (kind, by, reason) == ("on", "admin", "pg 18")
    assert timedelta(minutes=29) < lasts < timedelta(minutes=31)
    assert is_read_only(made)


def test_progress_is_told_while_the_drain_waits(made: Site, admin: Visitor) -> None:
    with transaction_at_work(made) as connection:
        with admin.open(confirmation(admin, "on")) as response:
            so_far = read_until(response, "sessions to drain; oldest: process")
            connection.execute("COMMIT")
            rest = response.read().decode()

    assert "new sessions of" in so_far
    assert PROVED not in so_far
    assert PROVED in rest
    assert rest.rstrip().endswith("</html>")


def test_what_holds_out_is_named_and_all_is_undone(made: Site, admin: Visitor) -> None:
    with transaction_at_work(made) as connection:
        answer = throw(admin, "on", deadline="1s")

        assert UNDONE in answer.text
        assert f"process {connection.info.backend_pid} of" in answer.text.partition("Held out:")[2]
    assert last_event(made)[:2] == ("undone", "admin")
    assert not is_read_only(made)


def test_closing_the_page_stops_nothing(made: Site, admin: Visitor) -> None:
    with transaction_at_work(made) as connection:
        with admin.open(confirmation(admin, "on")) as response:
            read_until(response, "sessions to drain")
        connection.execute("COMMIT")

        wait_for(lambda: last_event(made)[3])
    assert is_read_only(made)


def test_one_operator_acts_at_a_time(made: Site, address: str, admin: Visitor) -> None:
    second = signed_in(address, "operator")
    request = confirmation(second, "on")
    with transaction_at_work(made) as connection:
        with admin.open(confirmation(admin, "on")) as response:
            read_until(response, "sessions to drain")
            answer = second.read(request)
            connection.execute("COMMIT")
            rest = response.read().decode()

    assert "Another read_only command is at work" in answer.text
    assert PROVED in rest


def test_on_once_more_changes_nothing_and_shows_the_receipt_of_then(made: Site, admin: Visitor) -> None:
    again = confirmation(admin, "on")
    throw(admin, "on", reason="first")
    event = last_event(made)

    answer = admin.read(again)

    assert "nothing to do" in answer.text
    assert PROVED in answer.text
    assert last_event(made) == event


def test_reason_and_end_are_replaced_while_it_is_on(made: Site, admin: Visitor) -> None:
    throw(admin, "on", reason="moving", eta="5m")
    answer = admin.submit(admin.get("/admin/read-only/"), "read-only-amend-form", reason="late", eta="3h")

    kind, by, reason, receipt, lasts = last_event(made)
    assert "Visitors are told so from now on." in answer.text
    assert (kind, by, reason, receipt) == ("amended", "admin", "late", None)
    assert timedelta(hours=2) < lasts < timedelta(hours=4)
    assert is_read_only(made)


def test_the_site_follows_at_once_in_the_process_that_threw_it(made: Site, admin: Visitor) -> None:
    throw(admin, "on")
    within = admin.post("/admin/shop/tag/add/", name="within")
    throw(admin, "off")
    after = admin.post("/admin/shop/tag/add/", name="after")

    names = {
        row[0] for row in made.superuser.execute("SELECT name FROM shop_tag WHERE name IN ('within', 'after')")
    }
    assert (within.status, after.status) == (503, 200)
    assert names == {"after"}
    made.superuser.execute("DELETE FROM shop_tag WHERE name = 'after'")


# -- off, while everything else is refused


def test_off_works_while_everything_else_is_refused(made: Site, admin: Visitor) -> None:
    throw(admin, "on")
    assert admin.post("/tags/", name="refused").status == 503

    answer = throw(admin, "off", reason="done")

    assert OPENED in answer.text
    assert last_event(made)[:3] == ("off", "admin", "done")
    assert not is_read_only(made)


def test_off_is_confirmed_too(made: Site, admin: Visitor) -> None:
    throw(admin, "on")
    asked = admin.submit(admin.get(BOARD), "read-only-off-form")
    assert "Yes, open again" in asked.html
    assert is_read_only(made)


def test_somebody_can_sign_in_within_the_window_and_open_the_site(
    made: Site, address: str, admin: Visitor
) -> None:
    throw(admin, "on")
    late = Visitor(address)

    signed = late.sign_in("operator", BOARD)

    assert signed.url.endswith(BOARD)
    assert OPENED in throw(late, "off").text
    assert late.get(BOARD).status == 200


def test_with_database_sessions_who_is_signed_in_already_can_open_the_site(made: Site, serving: Serve) -> None:
    admin = signed_in(serving(PLAIN[0], **PLAIN[1]), "admin")
    throw(admin, "on")
    assert OPENED in throw(admin, "off").text


def test_with_database_sessions_signing_in_is_refused_politely(made: Site, serving: Serve) -> None:
    address = serving(PLAIN[0], **PLAIN[1])
    throw(signed_in(address, "admin"), "on")

    answer = Visitor(address).sign_in("operator", BOARD)

    assert (answer.status, answer.headers["Read-Only"]) == (503, "?1")


def test_who_appears_signed_out_everywhere_still_reaches_the_page(made: Site, serving: Serve) -> None:
    address = serving(NOBODYS[0], **NOBODYS[1])
    admin = signed_in(address, "admin")
    throw(admin, "on")
    late = Visitor(address)

    assert admin.get("/admin/shop/order/").url.endswith(BOARD)
    assert late.sign_in("operator", "/admin/").url.endswith(BOARD)
    assert OPENED in throw(late, "off").text


def test_who_appears_signed_out_and_may_do_nothing_there_is_told_so(made: Site, serving: Serve) -> None:
    address = serving(NOBODYS[0], **NOBODYS[1])
    editor, admin = (signed_in(address, name) for name in ("editor", "admin"))
    throw(admin, "on")

    answer = editor.get("/admin/shop/order/")

    assert (answer.status, answer.headers["Read-Only"]) == (503, "?1")


# -- servers of every kind


@pytest.mark.parametrize(
    ("words", "env"),
    [
        pytest.param(*PLAIN, id="a sync worker, ATOMIC_REQUESTS and database sessions"),
        pytest.param(*NOBODYS, id="ASGI, where visitors are anonymous"),
        pytest.param(*POOLED, id="a pool, where every request is a GET"),
    ],
)
def test_the_switch_is_thrown_and_told_under(
    made: Site, serving: Serve, words: tuple[str, ...], env: dict[str, str]
) -> None:
    admin = signed_in(serving(words, **env), "admin")
    with transaction_at_work(made) as connection:
        with admin.open(confirmation(admin, "on")) as response:
            read_until(response, "sessions to drain")
            connection.execute("COMMIT")
            rest = response.read().decode()
    assert PROVED in rest
    assert is_read_only(made)
    assert OPENED in throw(admin, "off").text


def test_the_request_does_not_wait_for_a_session_of_its_own(made: Site, serving: Serve) -> None:
    admin = signed_in(serving(PLAIN[0], **PLAIN[1]), "admin")
    end_sessions(made)
    # One worker of one thread, and nobody asks the other servers: each session is of this worker's.
    assert "drained: 0 sessions ended" in throw(admin, "on").text
