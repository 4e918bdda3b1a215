"""`--fence login` while the site is at work: nobody logs in as the writer, and reads go on as the twin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction

from readonly_router import ReadOnlyError, is_read_only
from readonly_router.connections.handler import begin_request
from readonly_router.following import followers
from tests import database
from tests.database import Scratch
from tests.harness.clients import clients
from tests.harness.pairs import lead, wait_for
from tests.harness.switches import make_switchable, names, read, throw_off, throw_on, wait_until_followed, write


@pytest.fixture(scope="module")
def site(server: str, django_db_blocker: Any) -> Iterator[Scratch]:
    """A pair that is ready to be switched."""
    with django_db_blocker.unblock(), database.scratch(server) as made:
        make_switchable(made)
        yield made


@pytest.fixture
def shop(site: Scratch, server: str) -> Iterator[Scratch]:
    """The site; writable and direct after each test."""
    yield site
    connections.close_all()
    for alias in (site.alias, site.twin_alias):
        lead(alias, server)
    throw_off(site, grace=0)
    followers.forget()


@pytest.mark.parametrize("persistent", [True, False], ids=["kept connection", "connection per request"])
def test_reads_go_on_and_writes_are_refused(shop: Scratch, persistent: bool) -> None:
    read(shop)
    if not persistent:
        connections.close_all()
    throw_on(shop, fence="login")
    assert (read(shop), is_read_only(shop.alias)) == (True, True)
    with pytest.raises(ReadOnlyError):
        write(shop, "fenced off")


def test_a_block_on_a_kept_connection_reads(shop: Scratch) -> None:
    read(shop)
    throw_on(shop, fence="login")
    begin_request()
    with transaction.atomic(using=shop.alias):
        assert read(shop)


def test_the_process_writes_again_after_off(shop: Scratch) -> None:
    throw_on(shop, fence="login")
    wait_until_followed(shop, on=True)
    throw_off(shop)
    wait_until_followed(shop, on=False)
    write(shop, "let in again")
    assert "let in again" in names(shop)


def test_a_login_that_fails_for_another_reason_is_told_as_ever(shop: Scratch) -> None:
    entry = connections.settings[shop.alias]
    connections.close_all()
    entry["PASSWORD"], kept = "wrong", entry["PASSWORD"]
    try:
        with pytest.raises(OperationalError, match="password"):
            read(shop)
        assert connections.own(shop.twin_alias).connection is None
    finally:
        entry["PASSWORD"] = kept


def test_no_read_fails_while_it_is_thrown(shop: Scratch) -> None:
    with clients(shop, persistent=True) as met:
        wait_for(lambda: len(met.acknowledged) > 0)
        throw_on(shop, fence="login", grace=1.5)
        wait_for(lambda: met.refusals > 0 and is_read_only(shop.alias))
    assert [failure for failure in met.failures if failure.startswith("read")] == []
