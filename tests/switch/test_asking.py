"""A process that knows nothing of the switch yet asks for it, once; and says where it cannot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.db.backends.signals import connection_created
from django.test import Client, RequestFactory, SimpleTestCase, override_settings

from readonly_router import get_status, is_read_only, skip_in_read_only, writable
from readonly_router.connections import asking
from readonly_router.following import followers
from readonly_router.views import status
from tests.database import entry
from tests.example.shop.models import Tag
from tests.switch.follower import flipped, following_anew, sent_on_new, session

NOBODY = {"USER": "nobody_of_that_name"}
UNKNOWN = "is not known yet"


@pytest.fixture(autouse=True)
def unaware(shop: None) -> Iterator[None]:
    """Begin as a fresh process does: without a session, and knowing nothing."""
    asking.forget()
    with following_anew():
        yield
    asking.forget()


@pytest.fixture
def elsewhere() -> Iterator[None]:
    """Have the switch thrown while this process knows nothing of it."""
    flipped(reason="moving")
    connections.close_all()
    followers.forget()
    return


@pytest.mark.usefixtures("elsewhere")
def test_a_fresh_process_knows_that_the_switch_is_on() -> None:
    assert is_read_only()


@pytest.mark.usefixtures("elsewhere")
def test_the_status_of_a_fresh_process_is_the_switchs() -> None:
    found = get_status()
    assert (found.read_only, found.known, found.source, found.reason) == (True, True, "switch", "moving")


@pytest.mark.usefixtures("elsewhere")
def test_the_first_page_of_a_fresh_process_shows_the_window() -> None:
    with override_settings(ROOT_URLCONF="tests.example.window_urls"):
        told = Client().get("/read-only/status/").json()
    assert (told["read_only"], told["known"], told["reason"]) == (True, True, "moving")


@pytest.mark.usefixtures("elsewhere")
def test_what_is_to_be_skipped_is_skipped_in_a_fresh_process() -> None:
    done = []
    skip_in_read_only(lambda: done.append(True))()
    assert done == []


def test_a_fresh_process_knows_that_the_switch_is_off() -> None:
    assert (is_read_only(), get_status().known) == (False, True)


def test_in_normal_mode_it_is_asked_once() -> None:
    with sent_on_new() as sent:
        is_read_only()
        first = len(sent)
        for _ in range(10):
            is_read_only()
            get_status()
    assert len(sent) == first


def test_in_normal_mode_it_opens_one_session() -> None:
    opened: list[str] = []

    def note(connection: Any, **_: Any) -> None:
        opened.append(connection.alias)

    connection_created.connect(note)
    try:
        for _ in range(10):
            is_read_only()
            connections.close_all()
    finally:
        connection_created.disconnect(note)
    assert opened == ["default"]


# -- where it cannot


def test_within_a_transaction_nothing_is_asked_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with writable():
        session()
    with transaction.atomic():
        assert connection.connection is not None
        followers.forget()
        found = get_status()
    assert (found.read_only, found.known) == (False, False)
    assert f"{UNKNOWN} (a transaction is open)" in caplog.text


def test_without_a_server_it_is_said_once_that_nothing_is_known(caplog: pytest.LogCaptureFixture) -> None:
    with entry("default", **NOBODY), entry("readonly", USER="nor_of_this"):
        found = [get_status() for _ in range(3)]
        assert not is_read_only()
    assert [(each.read_only, each.known) for each in found] == [(False, False)] * 3
    assert caplog.text.count(UNKNOWN) == 1
    assert "nobody_of_that_name" in caplog.text


def test_without_a_server_it_is_tried_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5.0]  # seconds after boot
    monkeypatch.setattr(followers.of("default"), "clock", lambda: now[0])
    with entry("default", **NOBODY), entry("readonly", USER="nor_of_this"):
        assert not get_status().known
    assert not get_status().known  # it could be asked now, but is not
    now[0] += followers.ASK_SECONDS
    assert get_status().known


def test_in_an_event_loop_it_is_said_that_nothing_is_known(caplog: pytest.LogCaptureFixture) -> None:
    async def ask() -> Any:
        return get_status()

    found = asyncio.run(ask())
    assert (found.read_only, found.known) == (False, False)
    assert "sync_to_async" in caplog.text


def test_the_status_page_says_that_nothing_is_known() -> None:
    with entry("default", **NOBODY), entry("readonly", USER="nor_of_this"):
        told = json.loads(status(RequestFactory().get("/")).content)
    assert (told["known"], told["read_only"]) == (False, None)


def test_where_a_test_forbids_queries_it_is_said_that_nothing_is_known(
    django_db_blocker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with django_db_blocker.block():
        found = get_status()
    assert (found.read_only, found.known) == (False, False)
    assert f"{UNKNOWN} (Database access not allowed" in caplog.text


class WriterAlone(SimpleTestCase):
    """A test case of a project that allows the writer's alias and nothing else."""

    databases = frozenset({"default"})


def test_where_a_test_allows_the_writer_alone_its_own_error_is_told() -> None:
    with entry("default", **NOBODY):
        WriterAlone._add_databases_failures()
        try:
            with pytest.raises(OperationalError, match="nobody_of_that_name"):
                Tag.objects.count()
        finally:
            WriterAlone._remove_databases_failures()
