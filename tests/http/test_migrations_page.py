"""The migrations page: the plan with its SQL, and runs of it, in normal mode and within a window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request

import psycopg
import pytest

from tests.http.operating import (
    GUNICORN,
    UVICORN,
    Answer,
    Visitor,
    is_read_only,
    read_until,
    signed_in,
    throw,
    wait_for,
)
from tests.http.warehouse.state import (
    AGAIN,
    END_WAITING,
    EVERY,
    INITIAL,
    MEDDLING,
    PLACE,
    SHELF,
    applied,
    event,
    put_back,
    remember,
    shelves,
    take_back,
)
from tests.site import Site

Serve = Callable[..., str]
PAGE = "/admin/migrations/"


@pytest.fixture
def made(made: Site) -> Iterator[Site]:
    """The site with four migrations that are not applied, and with all applied afterwards."""
    take_back(made)
    yield made
    put_back(made)


def confirmed(visitor: Visitor) -> Request:
    """Return what says yes to running the plan."""
    asked = visitor.submit(visitor.get(PAGE), "migrations-run")
    assert asked.status == 200, asked.text
    return visitor.sending(asked, "migrations-confirm")


def run(visitor: Visitor) -> Answer:
    return visitor.read(confirmed(visitor))


@contextmanager
def migration_at_work(made: Site) -> Iterator[psycopg.Connection[Any]]:
    """Keep the last migration but one waiting."""
    with made.scratch.superuser() as connection:
        connection.execute("BEGIN")
        connection.execute("LOCK warehouse_stop")
        yield connection


# -- who may, and where


def test_a_stranger_is_asked_to_sign_in(address: str) -> None:
    assert "login-form" in Visitor(address).get(PAGE).forms


@pytest.mark.parametrize("name", ["editor", "operator"])
def test_who_may_throw_the_switch_may_not_migrate(made: Site, address: str, name: str) -> None:
    visitor = signed_in(address, name)
    assert visitor.get(PAGE).status == 403
    assert visitor.post(f"{PAGE}run/", database="default", confirmed="yes").status == 403
    assert "Unapplied migrations" not in visitor.get("/admin/read-only/").html
    assert applied(made) == [INITIAL]


def test_a_forged_request_is_refused(made: Site, admin: Visitor) -> None:
    answer = admin.post(f"{PAGE}run/", database="default", confirmed="yes", csrfmiddlewaretoken="forged")
    assert answer.status == 403
    assert applied(made) == [INITIAL]


def test_reading_the_address_of_the_button_runs_nothing(made: Site, admin: Visitor) -> None:
    assert admin.get(f"{PAGE}run/?database=default&confirmed=yes").status == 405
    assert applied(made) == [INITIAL]


def test_the_page_is_found_from_the_operators_page(made: Site, admin: Visitor) -> None:
    assert f'<a href="{PAGE}">Unapplied migrations</a>' in admin.get("/admin/read-only/").html


@pytest.mark.parametrize("database", ["readonly", "nowhere"])
def test_only_writers_have_migrations(made: Site, admin: Visitor, database: str) -> None:
    assert admin.get(f"{PAGE}?database={database}").status == 404


# -- the plan


def test_the_plan_shows_each_migration_in_order(made: Site, admin: Visitor) -> None:
    text = admin.get(PAGE).text
    assert "4 migrations are not applied, in this order:" in text
    assert sorted(EVERY, key=text.index) == EVERY


def test_the_plan_shows_the_sql(made: Site, admin: Visitor) -> None:
    text = admin.get(PAGE).text
    assert 'ALTER TABLE "warehouse_shelf" ADD COLUMN "place" varchar(40)' in text
    assert "THIS OPERATION CANNOT BE WRITTEN AS SQL" in text


def test_the_plan_shows_what_cannot_be_undone(made: Site, admin: Visitor) -> None:
    text = admin.get(PAGE).text
    assert "2 of them cannot be undone." in text
    assert f"{SHELF} Raw Python operation Cannot be undone: Raw Python operation" in text
    assert f"{MEDDLING} Meddles Cannot be undone: Meddles" in text


def test_looking_at_the_plan_changes_nothing(made: Site, admin: Visitor) -> None:
    before = made.checksum()
    text = admin.get(PAGE).text
    assert "Its SQL is not known: ReadOnlyError" in text
    assert made.checksum() == before


def test_a_database_without_unapplied_migrations_says_so(made: Site, admin: Visitor) -> None:
    run(admin)
    answer = admin.get(PAGE)
    assert "Every migration is applied." in answer.text
    assert "migrations-run" not in answer.forms


def test_a_history_that_cannot_be_is_told_and_not_run(made: Site, admin: Visitor) -> None:
    remember(made, SHELF)
    answer = admin.get(PAGE)
    assert f"Migration {SHELF} is applied before its dependency {PLACE}" in answer.text
    assert "migrations-run" not in answer.forms


# -- running it


def test_nothing_is_run_before_it_is_confirmed(made: Site, admin: Visitor) -> None:
    asked = admin.submit(admin.get(PAGE), "migrations-run")
    assert f"{SHELF} (cannot be undone)" in asked.text
    assert "Yes, run them" in asked.html
    assert applied(made) == [INITIAL]


def test_a_run_applies_all_and_is_recorded(made: Site, admin: Visitor) -> None:
    answer = run(admin)

    assert f"Applying {PLACE}... OK" in answer.text
    assert f"Applied: {' '.join(EVERY)}" in answer.text
    assert applied(made) == [INITIAL, *EVERY]
    assert shelves(made) == ["first"]
    assert event(made) == ("admin", {"plan": EVERY, "applied": EVERY, "status": "applied", "writes": 2})


def test_a_run_within_a_window_writes_and_leaves_the_window_as_it_is(made: Site, admin: Visitor) -> None:
    throw(admin, "on", reason="the new schema")

    answer = run(admin)

    assert f"Applied: {' '.join(EVERY)}" in answer.text
    assert applied(made) == [INITIAL, *EVERY]
    assert is_read_only(made)
    assert admin.post("/admin/shop/tag/add/", name="within").status == 503
    assert "By admin Reason the new schema" in admin.get("/admin/read-only/").text


def test_a_failure_is_shown_with_what_was_applied(made: Site, admin: Visitor) -> None:
    made.superuser.execute("INSERT INTO warehouse_stop VALUES ('broken')")

    answer = run(admin)

    assert "It failed. DataError: division by zero" in answer.text
    assert f"Applied all the same: {PLACE} {SHELF} Go on" in answer.text
    assert applied(made) == [INITIAL, PLACE, SHELF]
    by, details = event(made)
    assert (by, details["status"], details["applied"]) == ("admin", "failed", [PLACE, SHELF])
    assert details["error"] == "DataError: division by zero"
    assert "migrate: 2 of 4 applied admin" in admin.get("/admin/read-only/").text


def test_a_run_whose_session_is_ended_tells_what_was_applied(made: Site, admin: Visitor) -> None:
    with migration_at_work(made) as stop:
        with admin.open(confirmed(admin)) as response:
            read_until(response, f"Applying {AGAIN}...")
            wait_for(lambda: stop.execute(END_WAITING).fetchone())
            rest = response.read().decode()

    assert "terminating connection due to administrator command" in rest
    assert f"<li>{SHELF}</li>" in rest
    assert applied(made) == [INITIAL, PLACE, SHELF]
    assert event(made)[1]["status"] == "failed"


def test_what_failed_can_be_run_again(made: Site, admin: Visitor) -> None:
    made.superuser.execute("INSERT INTO warehouse_stop VALUES ('broken')")
    run(admin)
    made.superuser.execute("TRUNCATE warehouse_stop")

    assert f"Applied: {AGAIN} {MEDDLING}" in run(admin).text


def test_output_is_told_while_it_runs(made: Site, admin: Visitor) -> None:
    with migration_at_work(made) as stop:
        with admin.open(confirmed(admin)) as response:
            so_far = read_until(response, f"Applying {AGAIN}...")
            stop.execute("COMMIT")
            rest = response.read().decode()

    assert f"Applying {PLACE}... OK" in so_far
    assert "Applied:" not in so_far
    assert "Applied:" in rest


def test_closing_the_page_stops_nothing(made: Site, admin: Visitor) -> None:
    with migration_at_work(made) as stop:
        with admin.open(confirmed(admin)) as response:
            read_until(response, f"Applying {AGAIN}...")
        stop.execute("COMMIT")

        wait_for(lambda: "status" in event(made)[1])
    assert applied(made) == [INITIAL, *EVERY]


def test_one_run_at_a_time(made: Site, address: str, admin: Visitor) -> None:
    second = signed_in(address, "admin")
    again = confirmed(second)
    with migration_at_work(made) as stop:
        with admin.open(confirmed(admin)) as response:
            read_until(response, f"Applying {AGAIN}...")
            answer = second.read(again)
            stop.execute("COMMIT")
            rest = response.read().decode()

    assert "Migrations are being run on 'default' at this moment" in answer.text
    assert "Nothing was applied." in answer.text
    assert "Applied:" in rest


def test_the_lock_is_given_back(made: Site, serving: Serve) -> None:
    admin = signed_in(serving(UVICORN, EXAMPLE_POOL="1"), "admin")
    run(admin)
    take_back(made)
    assert "Applied:" in run(admin).text


def test_a_plan_that_is_not_the_confirmed_one_any_more_is_not_run(made: Site, admin: Visitor) -> None:
    request = confirmed(admin)
    made.superuser.execute("ALTER TABLE warehouse_shelf ADD COLUMN place varchar(40) NOT NULL")
    made.superuser.execute(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('warehouse', '0002_place', now())"
    )

    answer = admin.read(request)

    assert "is not what was confirmed any more" in answer.text
    assert applied(made) == [INITIAL, PLACE]
    assert event(made) is None


@pytest.mark.parametrize(
    ("words", "env"),
    [
        pytest.param(GUNICORN, {"OPERATORS_ATOMIC": "1"}, id="sync worker, ATOMIC_REQUESTS"),
        pytest.param(UVICORN, {"EXAMPLE_POOL": "1"}, id="ASGI and a pool"),
    ],
)
def test_a_run_is_told_under(made: Site, serving: Serve, words: tuple[str, ...], env: dict[str, str]) -> None:
    admin = signed_in(serving(words, **env), "admin")
    throw(admin, "on")
    with migration_at_work(made) as stop:
        with admin.open(confirmed(admin)) as response:
            read_until(response, f"Applying {AGAIN}...")
            stop.execute("COMMIT")
            rest = response.read().decode()
    assert "Applied:" in rest
    assert applied(made) == [INITIAL, *EVERY]
