"""The operators' pages within one process: what a browser cannot tell apart, and pairs that come in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from django.test import Client, override_settings

from readonly_router import ReadOnlyError, conf, disable_writes, is_read_only, mode
from readonly_router.following import followers
from readonly_router.models import Event
from readonly_router.operations.history import EventAdmin
from readonly_router.switch.off import switch_off
from tests.database import Scratch, entry
from tests.example.shop.models import Product, Tag
from tests.http.inside_urls import site

BOARD, PLAN = "/admin/read-only/", "/admin/migrations/"


@pytest.fixture
def client(shop: None) -> Iterator[Client]:
    """The browser of a superuser, and the site writable afterwards."""
    first = "readonly_router.middleware.ReadOnlyMiddleware"
    with override_settings(ROOT_URLCONF="tests.http.inside_urls"):
        with override_settings(MIDDLEWARE=[first, *(name for name in settings.MIDDLEWARE if name != first)]):
            client = Client(raise_request_exception=False)
            assert client.login(username="admin", password="admin")
            yield client
            connections.close_all()
            switch_off("default", grace=0)
            followers.forget()


def streamed(answer: Any) -> str:
    return b"".join(answer.streaming_content).decode()


def yes(**fields: str) -> dict[str, str]:
    return {"grace": "0s", "deadline": "10s", "confirmed": "yes", **fields}


# -- the pages


def test_the_switch_is_thrown_and_opened_within_one_process(client: Client) -> None:
    on = streamed(client.post(f"{BOARD}on/", yes(reason="inside", eta="5m")))
    within = is_read_only()
    told = client.get(BOARD).content.decode()
    off = streamed(client.post(f"{BOARD}off/", {"confirmed": "yes"}))

    assert "Read-only, and proved" in on
    assert within
    assert "inside" in told
    assert "Writable again: default." in off
    assert not is_read_only()


def test_nothing_on_the_way_keeps_the_progress_back(client: Client) -> None:
    compressing = "django.middleware.gzip.GZipMiddleware"
    with override_settings(MIDDLEWARE=[compressing, *settings.MIDDLEWARE]):
        answer = client.post(f"{BOARD}off/", {"confirmed": "yes"}, headers={"Accept-Encoding": "gzip"})

        assert streamed(answer).rstrip().endswith("</html>")
    assert answer["X-Accel-Buffering"] == "no"


@pytest.mark.parametrize(("verb", "asked"), [("on", "Yes, switch read-only"), ("off", "Yes, open again")])
def test_each_button_asks_first(client: Client, verb: str, asked: str) -> None:
    answer = client.post(f"{BOARD}{verb}/", {"grace": "0s", "deadline": "10s"})
    assert asked in answer.content.decode()
    assert not is_read_only()


def test_off_where_nothing_is_on_says_so(client: Client) -> None:
    assert "Nothing was to be done." in streamed(client.post(f"{BOARD}off/", {"confirmed": "yes"}))


def test_what_cannot_be_switched_off_is_asked_again(client: Client) -> None:
    answer = client.post(f"{BOARD}off/", {"reason": "x" * 501, "confirmed": "yes"})
    assert answer.status_code == 422


def test_another_settings_on_the_role_is_told_as_what_is_in_the_way(
    client: Client, superuser: psycopg.Connection[Any]
) -> None:
    writer = connections.settings["default"]
    alter = f'ALTER ROLE "{writer["USER"]}" IN DATABASE "{writer["NAME"]}"'
    superuser.execute(f"{alter} SET default_transaction_read_only = on")
    try:
        answer = streamed(client.post(f"{BOARD}on/", yes()))
    finally:
        superuser.execute(f"{alter} RESET default_transaction_read_only")

    assert "It failed." in answer
    assert "set by somebody else" in answer


def test_a_model_admin_only_shows_in_a_read_only_process(client: Client) -> None:
    product, tag = Product.objects.all()[0], Tag.objects.all()[0]
    disable_writes()

    assert 'name="_save"' not in client.get(f"/admin/shop/product/{product.pk}/change/").content.decode()
    assert 'name="form-0-name"' not in client.get("/admin/shop/tag/").content.decode()
    assert client.get(f"/admin/shop/tag/{tag.pk}/delete/").status_code == 503


def test_a_view_of_the_site_that_is_let_through_is_let_through(client: Client) -> None:
    disable_writes()
    assert client.post("/admin/search/").content == b"found"
    assert client.post("/admin/shop/tag/add/").status_code == 503


def test_a_database_without_unapplied_migrations_has_nothing_to_run(client: Client) -> None:
    assert "Every migration is applied." in client.get(PLAN).content.decode()
    asked = client.post(f"{PLAN}run/", {"database": "default"})
    assert "Every migration is applied." in asked.content.decode()


def test_what_is_unapplied_is_run_and_recorded(client: Client, superuser: psycopg.Connection[Any]) -> None:
    forget(superuser, "readonly_router", "0002_operators")

    answer = migrated(client)

    assert "Applying readonly_router.0002_operators... OK" in answer
    assert "<li>readonly_router.0002_operators</li>" in answer
    assert Event.objects.get(kind="migrate").details["status"] == "applied"


def test_a_run_that_fails_at_once_says_that_nothing_was_applied(
    client: Client, superuser: psycopg.Connection[Any]
) -> None:
    forget(superuser, "shop", "0002_beyond_tables")

    answer = migrated(client)

    assert "already exists" in answer
    assert "Nothing was applied." in answer


def test_a_run_waits_for_no_other(client: Client, superuser: psycopg.Connection[Any]) -> None:
    superuser.execute("SELECT pg_advisory_lock(hashtextextended('readonly_router:migrate', 0))")
    try:
        answer = migrated(client)
    finally:
        superuser.execute("SELECT pg_advisory_unlock_all()")

    assert "at this moment" in answer


def test_another_plan_than_the_confirmed_one_is_not_run(client: Client) -> None:
    answer = streamed(client.post(f"{PLAN}run/", {"database": "default", "plan": "another", "confirmed": "yes"}))
    assert "nothing was run" in answer


def test_a_history_that_cannot_be_is_told(client: Client, superuser: psycopg.Connection[Any]) -> None:
    forget(superuser, "shop", "0001_initial")
    assert "InconsistentMigrationHistory" in client.get(PLAN).content.decode()


def test_a_twin_that_is_away_is_told(client: Client) -> None:
    with entry("readonly", PORT="1"):
        answer = client.get(PLAN).content.decode()

    assert "TwinLoginError: The twin &#x27;readonly&#x27; cannot log in" in answer


def forget(superuser: psycopg.Connection[Any], app: str, name: str) -> None:
    superuser.execute("DELETE FROM django_migrations WHERE app = %s AND name = %s", [app, name])


def migrated(client: Client) -> str:
    plan = client.post(f"{PLAN}run/", {"database": "default"}).context["plan"]
    return streamed(client.post(f"{PLAN}run/", {"database": "default", "plan": plan.digest, "confirmed": "yes"}))


def test_an_event_is_shown_with_its_receipt(client: Client) -> None:
    streamed(client.post(f"{BOARD}on/", yes()))
    event = Event.objects.get(kind="on")

    listed = client.get("/admin/readonly_router/event/").content.decode()
    shown = client.get(f"/admin/readonly_router/event/{event.pk}/change/").content.decode()

    assert "proved" in listed
    assert "system_identifier" in shown
    assert 'name="_save"' not in shown


def test_an_event_of_every_kind_is_told(client: Client) -> None:
    common = {"at": datetime.now(timezone.utc), "alias": "default"}
    Event.objects.create(kind="exec", details={"command": ["migrate", "shop"], "status": 0}, **common)
    Event.objects.create(kind="migrate", details={"plan": ["shop.0001"]}, **common)
    Event.objects.create(kind="undone", **common)

    told = client.get(BOARD).content.decode()

    assert "migrate shop: exit status 0" in told
    assert "? of 1 applied" in told
    assert "undone</td>" in told


def test_the_history_says_nothing_where_its_table_is_missing(
    client: Client, superuser: psycopg.Connection[Any]
) -> None:
    superuser.execute("ALTER TABLE readonly_router_event RENAME TO away")
    try:
        answer = client.get(BOARD)
    finally:
        superuser.execute("ALTER TABLE away RENAME TO readonly_router_event")

    assert "Nothing was done yet." in answer.content.decode()


@pytest.mark.parametrize("path", [BOARD, PLAN])
def test_a_process_without_a_writers_login_says_so(
    client: Client, superuser: psycopg.Connection[Any], path: str
) -> None:
    forget(superuser, "readonly_router", "0002_operators")
    mode.set_process(conf.ProcessMode.LOCKED)
    try:
        told = client.get(path).content.decode()
    finally:
        mode.set_process(None)

    assert "DB_READ_ONLY=locked and holds no login" in told
    assert "submit-row" not in told


def test_there_is_no_migrations_page_unless_it_is_included(client: Client) -> None:
    assert '<a href="/admin/migrations/">' in client.get(BOARD).content.decode()
    with override_settings(ROOT_URLCONF="tests.http.inside_urls_without"):
        assert client.get(PLAN).status_code == 404
        assert "Unapplied migrations" not in client.get(BOARD).content.decode()


def test_who_has_no_permission_is_refused(client: Client) -> None:
    client.logout()
    assert client.login(username="editor", password="editor")
    assert [client.get(path).status_code for path in (BOARD, PLAN)] == [403, 403]
    assert "Operators" not in client.get("/admin/").content.decode()


def test_only_writers_have_migrations(client: Client) -> None:
    assert client.get(f"{PLAN}?database=readonly").status_code == 404


def test_the_page_is_listed_where_events_are_not(client: Client) -> None:
    site.unregister(Event)
    try:
        listed = client.get("/admin/").content.decode()
        other_app = client.get("/admin/shop/").content.decode()
    finally:
        site.register(Event, EventAdmin)

    assert BOARD in listed.partition("app-readonly_router")[2]
    assert "app-readonly_router" not in other_app.partition("<main")[2]


# -- several pairs


def test_each_pair_is_told_also_one_that_cannot_be_asked(client: Client, scratch: Scratch) -> None:
    with entry(scratch.alias, PORT="1"), entry(scratch.twin_alias, PORT="1"):
        answer = client.get(BOARD).content.decode()

    assert "default: writable" in answer
    assert f"{scratch.alias}: not known" in answer
    assert "read-only-off-form" in answer


def test_the_databases_are_asked_for_where_there_are_several(client: Client, scratch: Scratch) -> None:
    answer = client.get(BOARD).content.decode()
    assert answer.count('name="databases"') >= 2
    assert "<legend>Databases</legend>" in answer


def test_a_write_past_everything_is_refused_by_postgresql(client: Client) -> None:
    streamed(client.post(f"{BOARD}on/", yes()))
    with pytest.raises(ReadOnlyError):
        Tag.objects.create(name="past everything")
