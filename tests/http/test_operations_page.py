"""The operators' page: who sees it, what it tells, and what it asks before anything is done."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.http.operating import (
    Visitor,
    is_read_only,
    signed_in,
    throw,
)
from tests.site import Site

Serve = Callable[..., str]
BOARD = "/admin/read-only/"
PROVED, UNDONE, OPENED = "Read-only, and proved", "so the switch was undone", "Writable again"


# -- who may


def test_a_stranger_is_asked_to_sign_in(address: str) -> None:
    answer = Visitor(address).get(BOARD)
    assert "login-form" in answer.forms
    assert answer.url.endswith("/admin/login/?next=/admin/read-only/")


@pytest.mark.parametrize("path", [BOARD, "/admin/read-only/live.js"])
def test_staff_without_permission_see_nothing(address: str, path: str) -> None:
    assert signed_in(address, "editor").get(path).status == 403


def test_who_may_only_look_gets_no_buttons(address: str) -> None:
    answer = signed_in(address, "viewer").get(BOARD)
    assert answer.status == 200
    assert set(answer.forms) == {"logout-form"}


@pytest.mark.parametrize("verb", ["on", "off"])
@pytest.mark.parametrize("name", ["editor", "viewer"])
def test_who_may_only_look_cannot_throw_the_switch(made: Site, address: str, name: str, verb: str) -> None:
    answer = signed_in(address, name).post(f"{BOARD}{verb}/", grace="0s", deadline="5s", confirmed="yes")
    assert answer.status == 403
    assert not is_read_only(made)


def test_the_permission_to_switch_is_enough(made: Site, address: str) -> None:
    assert PROVED in throw(signed_in(address, "operator"), "on").text
    assert is_read_only(made)


def test_a_forged_request_is_refused(made: Site, admin: Visitor) -> None:
    answer = admin.post(f"{BOARD}on/", grace="0s", deadline="5s", confirmed="yes", csrfmiddlewaretoken="forged")
    assert answer.status == 403
    assert not is_read_only(made)


@pytest.mark.parametrize("verb", ["on", "off"])
def test_reading_the_address_of_a_button_throws_nothing(made: Site, admin: Visitor, verb: str) -> None:
    assert admin.get(f"{BOARD}{verb}/?confirmed=yes&grace=0s&deadline=5s").status == 405
    assert not is_read_only(made)


def test_the_page_is_found_in_the_index(admin: Visitor) -> None:
    assert re.search(rf'<a href="{BOARD}"[^>]*>Operators&#x27; page</a>', admin.get("/admin/").html)


def test_the_page_is_in_a_second_site_too(made: Site, address: str, admin: Visitor) -> None:
    answer = admin.get("/counter/read-only/")
    assert answer.forms["read-only-on-form"].action == "/counter/read-only/on/"


# -- what it tells


def test_a_writable_site_is_told_with_its_sessions(made: Site, admin: Visitor) -> None:
    answer = admin.get(BOARD)
    assert "default: writable" in answer.text
    assert re.search(rf"Sessions of {made.scratch.writer} \d+ \(the writer\)", answer.text)
    assert {"read-only-on-form"} == set(answer.forms) - {"logout-form"}


def test_a_window_is_told_with_who_why_and_until_when(made: Site, admin: Visitor) -> None:
    throw(admin, "on", reason="new disks & <more>", eta="90m")

    answer = admin.get(BOARD)

    assert "default: read-only" in answer.text
    assert "By admin Reason new disks & <more> Expected to end" in answer.text
    assert "<more>" not in answer.html
    assert "Proved yes" in answer.text
    assert f"Fenced {made.scratch.writer}" in answer.text
    assert {"read-only-amend-form", "read-only-off-form"} == set(answer.forms) - {"logout-form"}


def test_an_end_that_has_passed_is_told(made: Site, admin: Visitor) -> None:
    throw(admin, "on", eta="1h")
    made.superuser.execute("UPDATE readonly_router_event SET eta = at WHERE eta > at")
    assert "(overdue)" in admin.get(BOARD).text


def test_a_window_that_was_never_proved_can_be_proved_or_ended(made: Site, admin: Visitor) -> None:
    throw(admin, "on")
    made.superuser.execute("UPDATE readonly_router_event SET receipt = NULL")

    answer = admin.get(BOARD)

    assert "Proved no: switch read-only again" in answer.text
    assert {"read-only-on-form", "read-only-off-form"} <= set(answer.forms)
    assert PROVED in throw(admin, "on").text


def test_the_history_tells_each_act(made: Site, admin: Visitor) -> None:
    throw(admin, "on", reason="first reason")
    throw(admin, "off", reason="second reason")

    history = admin.get(BOARD).text.partition("History")[2]

    assert re.search(r"off admin second reason .* on: proved admin first reason", history)


def test_each_event_can_be_looked_at_with_its_receipt_and_not_changed(made: Site, admin: Visitor) -> None:
    throw(admin, "on", reason="a receipt to keep")
    throw(admin, "off")
    changelist = admin.get("/admin/readonly_router/event/?q=receipt+to+keep")
    (path,) = re.findall(r'href="(/admin/readonly_router/event/\d+/change/[^"]*)"', changelist.html)

    event = admin.get(path)

    assert "system_identifier" in event.text
    assert not any(form.shown for name, form in event.forms.items() if name != "logout-form")
    assert admin.get("/admin/readonly_router/event/add/").status == 403


def test_a_process_that_does_not_know_the_writer_says_so(made: Site, serving: Serve) -> None:
    visitor = signed_in(serving(), "admin")
    visitor.address = serving(DB_READ_ONLY="locked", DATABASE_URL="")

    answer = visitor.get(BOARD)

    assert "keeps the writer's login out of this process" in answer.text
    assert "holds no login that could throw the switch" in answer.text


def test_the_script_that_keeps_the_page_up_to_date_needs_no_collected_file(admin: Visitor) -> None:
    (path,) = re.findall(r'<script src="([^"]*live\.js)" defer>', admin.get(BOARD).html)
    answer = admin.get(path)
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "read-only-facts" in answer.html


# -- what is asked


def test_nothing_is_thrown_before_it_is_confirmed(made: Site, admin: Visitor) -> None:
    asked = admin.submit(admin.get(BOARD), "read-only-on-form", reason="sure?")
    assert "Yes, switch read-only" in asked.html
    assert "Reason sure?" in asked.text
    assert not is_read_only(made)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"eta": "soon"}, "Write a duration such as 90s, 5m or 1h30m."),
        ({"grace": "-1"}, "Write a duration"),
        ({"grace": ""}, "This field is required."),
        ({"deadline": "21s"}, "At most 20s here"),
        ({"grace": "9s", "deadline": "9s"}, "The grace must be over before it gives up"),
    ],
)
def test_what_cannot_be_done_is_asked_for_again(
    made: Site, admin: Visitor, fields: dict[str, str], told: str
) -> None:
    answer = admin.submit(admin.get(BOARD), "read-only-on-form", confirmed="yes", reason="kept", **fields)
    assert answer.status == 422
    assert told in answer.text
    assert answer.forms["read-only-on-form"].fields["reason"] == ["kept"]
    assert not is_read_only(made)


def test_each_field_has_a_label_and_its_help(admin: Visitor) -> None:
    html = admin.get(BOARD).html
    for name in ("reason", "eta", "grace", "deadline"):
        assert f'<label for="id_on_{name}"' in html
        assert f'aria-describedby="id_on_{name}_helptext"' in html
        assert f'id="id_on_{name}_helptext"' in html
