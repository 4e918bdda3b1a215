"""Behind PgBouncer in transaction pooling read-only mode holds, and a start-up option is found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connections, transaction

from readonly_router import ReadOnlyError, read_only
from readonly_router.checks.pairs import check_twins
from tests import database
from tests.database import Scratch
from tests.example.shop.models import Tag
from tests.harness.pairs import lead
from tests.harness.pools import end_pool, lead_through, pooled, session
from tests.plugin import url_for
from tests.roles.provisioning import provisioned

READ_ONLY_OPTION = "-c default_transaction_read_only=on"


@pytest.fixture(scope="module")
def site(server: str, bouncer: str, django_db_blocker: Any) -> Iterator[Scratch]:
    """A provisioned pair behind PgBouncer, with a table of the example's that holds some rows."""
    with django_db_blocker.unblock(), database.scratch(server) as made:
        lead_through(made, bouncer)
        with connections[made.alias].schema_editor() as editor:
            editor.create_model(Tag)
        Tag.objects.using(made.alias).bulk_create(Tag(name=f"tag {number}") for number in range(5))
        provisioned(made)
        yield made


@pytest.fixture
def shop(site: Scratch, bouncer: str) -> Iterator[Scratch]:
    """The site, its twin's pool begun anew after the test: tests set something in it."""
    yield site
    lead_through(site, bouncer)
    end_pool(site, site.twin)


def test_reads_come_through_the_twins_pool(shop: Scratch) -> None:
    with read_only(), connections[shop.alias].cursor() as cursor:
        cursor.execute("SELECT session_user")
        assert cursor.fetchone() == (shop.twin,)
        assert Tag.objects.using(shop.alias).count() == 5


def test_iterating_over_rows_works_without_server_side_cursors(shop: Scratch) -> None:
    with read_only():
        assert len(list(Tag.objects.using(shop.alias).iterator(chunk_size=2))) == 5


def test_a_write_is_refused_and_typed(shop: Scratch) -> None:
    with read_only(), pytest.raises(ReadOnlyError) as refusal:
        Tag.objects.using(shop.alias).create(name="refused")
    assert (refusal.value.sqlstate, refusal.value.alias) == ("25006", shop.twin_alias)


def test_a_write_in_a_block_is_refused_and_typed(shop: Scratch) -> None:
    with read_only(), pytest.raises(ReadOnlyError), transaction.atomic(using=shop.alias):
        Tag.objects.using(shop.alias).update(name="refused")
    assert not Tag.objects.using(shop.alias).filter(name="refused").exists()


def test_the_grants_refuse_when_another_client_of_the_pool_switched_the_setting_off(
    shop: Scratch, bouncer: str
) -> None:
    with pooled(shop, bouncer, shop.twin) as client:
        client.execute("SET default_transaction_read_only = off")
    assert session(shop, bouncer, shop.twin)[3] == "off"
    with read_only(), pytest.raises(ReadOnlyError) as refusal:
        Tag.objects.using(shop.alias).create(name="refused")
    assert refusal.value.sqlstate == "42501"


def test_every_session_of_the_twins_pool_starts_read_only(shop: Scratch, bouncer: str) -> None:
    with ExitStack() as stack:
        answers = set()
        for _ in range(3):
            # An open transaction holds its server connection, so each of them is another.
            client = stack.enter_context(pooled(shop, bouncer, shop.twin))
            stack.enter_context(client.transaction())
            query = "SELECT pg_backend_pid(), current_setting('default_transaction_read_only')"
            answers.add(client.execute(query).fetchone())
        assert [len(answers), {setting for _, setting in answers}] == [3, {"on"}]


def test_the_pooler_hands_on_what_the_server_reported_at_its_login(shop: Scratch) -> None:
    """So a provisioned twin costs no statement at connect behind it either."""
    wrapper = connections[shop.twin_alias]
    wrapper.ensure_connection()
    assert wrapper.connection.info.parameter_status("default_transaction_read_only") == "on"


# -- start-up parameters


@contextmanager
def options(pair: Scratch, value: str) -> Iterator[None]:
    """Give the twin a start-up option in DATABASES."""
    entry = connections.settings[pair.twin_alias]
    entry["OPTIONS"] = {"options": value}
    try:
        yield
    finally:
        entry["OPTIONS"] = {}


@pytest.fixture
def dropping_options(bouncer: str) -> Iterator[None]:
    """PgBouncer told to drop the start-up parameter instead of refusing it."""
    with psycopg.connect(url_for(bouncer, database="pgbouncer"), autocommit=True) as console:
        console.execute("SET ignore_startup_parameters = 'options'")
        try:
            yield
        finally:
            console.execute("SET ignore_startup_parameters = ''")


def test_a_twin_behind_the_pooler_has_no_finding(shop: Scratch) -> None:
    assert check_twins(databases=[shop.alias]) == []


def test_the_system_check_sets_nothing_in_the_twins_pool(shop: Scratch, bouncer: str) -> None:
    before = session(shop, bouncer, shop.twin)
    check_twins(databases=[shop.alias])
    assert session(shop, bouncer, shop.twin) == before


def test_a_refused_start_up_option_is_found(shop: Scratch) -> None:
    with options(shop, READ_ONLY_OPTION):
        found = check_twins(databases=[shop.alias])
    assert [message.id for message in found] == ["readonly_router.W023"]


@pytest.mark.usefixtures("dropping_options")
def test_a_dropped_start_up_option_is_found(shop: Scratch) -> None:
    with options(shop, "-c statement_timeout=5s"):
        found = check_twins(databases=[shop.alias])
    assert [message.id for message in found] == ["readonly_router.W023"]


def test_a_start_up_option_without_a_pooler_is_no_finding(shop: Scratch, server: str) -> None:
    lead(shop.twin_alias, server)
    with options(shop, READ_ONLY_OPTION):
        assert check_twins(databases=[shop.alias]) == []
