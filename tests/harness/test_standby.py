"""A twin on a streaming standby: reads come from it, and no setting makes it take a write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, transaction

from readonly_router import ReadOnlyError, read_only
from tests import database
from tests.database import Scratch
from tests.example.shop.models import Tag
from tests.harness.pairs import lead
from tests.harness.servers import Servers
from tests.roles.provisioning import provisioned


@pytest.fixture(scope="module")
def site(servers: Servers, django_db_blocker: Any) -> Iterator[Scratch]:
    """A provisioned pair, its twin on the standby, with a table of the example's that holds one row."""
    with django_db_blocker.unblock(), database.scratch(servers.primary) as made:
        with connections[made.alias].schema_editor() as editor:
            editor.create_model(Tag)
        Tag.objects.using(made.alias).create(name="replayed")
        lead(made.twin_alias, servers.standby)
        provisioned(made)
        yield made


@pytest.fixture
def shop(site: Scratch) -> Iterator[Scratch]:
    """The site, its sessions ended after the test: tests set something in them."""
    yield site
    connections[site.twin_alias].close()


def test_reads_come_from_the_standby(shop: Scratch) -> None:
    with read_only():
        assert Tag.objects.using(shop.alias).filter(name="replayed").exists()
        with connections[shop.alias].cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            assert cursor.fetchone() == (True,)


def test_writes_go_to_the_primary_in_normal_mode(shop: Scratch, servers: Servers) -> None:
    Tag.objects.using(shop.alias).create(name="written")
    servers.catch_up()
    with read_only():
        assert Tag.objects.using(shop.alias).filter(name="written").exists()


def test_a_write_is_refused_and_typed(shop: Scratch) -> None:
    with read_only(), pytest.raises(ReadOnlyError) as refusal:
        Tag.objects.using(shop.alias).create(name="refused")
    assert (refusal.value.sqlstate, refusal.value.alias) == ("25006", shop.twin_alias)


@pytest.mark.parametrize(
    "switched_off",
    ["SET default_transaction_read_only = off", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"],
)
def test_a_standby_refuses_writes_with_the_setting_off(shop: Scratch, switched_off: str) -> None:
    """A hot standby is the barrier that no setting opens: it answers before privileges are asked."""
    with read_only(), connections[shop.alias].cursor() as cursor:
        cursor.execute(switched_off)
        with pytest.raises(ReadOnlyError) as refusal:
            Tag.objects.using(shop.alias).create(name="refused")
    assert refusal.value.sqlstate == "25006"


@pytest.mark.parametrize(
    "statement",
    ["CREATE TEMPORARY TABLE kept (id int)", "SELECT lo_create(0)", "SELECT nextval('shop_tag_id_seq')"],
)
def test_what_a_primary_leaves_to_the_twin_a_standby_refuses(shop: Scratch, statement: str) -> None:
    with read_only(), connections[shop.alias].cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
        with pytest.raises(ReadOnlyError) as refusal:
            cursor.execute(statement)
    assert refusal.value.sqlstate in {"25006", "42501"}


def test_a_row_lock_in_a_block_is_refused(shop: Scratch) -> None:
    with read_only(), pytest.raises(ReadOnlyError), transaction.atomic(using=shop.alias):
        list(Tag.objects.using(shop.alias).select_for_update())
