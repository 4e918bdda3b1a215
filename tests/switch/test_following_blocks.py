"""What is open while the switch is thrown: transactions, server-side cursors, kept connections and cursors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, connections, transaction

from readonly_router import ReadOnlyError, is_read_only
from readonly_router.connections import handler as resolution
from readonly_router.mark import MARKED
from tests.example.shop.content import PRODUCTS
from tests.example.shop.models import Product, Tag
from tests.harness.pairs import wait_for
from tests.switch.follower import (
    following_anew,
    login,
    met_on,
    off,
    on,
    on_at_once,
    served_by,
    session,
    wait_until_writable,
    whose,
)

COUNT = len(PRODUCTS)


@pytest.fixture(autouse=True)
def follower(shop: None) -> Iterator[None]:
    with following_anew():
        yield


@pytest.fixture
def is_on(superuser: psycopg.Connection[Any]) -> Callable[[], bool]:
    """A function that tells whether the switch is on, as PostgreSQL says."""
    query = f"""SELECT EXISTS (SELECT FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
        WHERE datname = current_database() AND setconfig && ARRAY{MARKED})"""
    return lambda: superuser.execute(query).fetchone() == (True,)


@pytest.fixture
def operator() -> Iterator[Callable[..., Future[Any]]]:
    """A function that has something done beside the test."""
    with ThreadPoolExecutor(1) as beside:
        yield beside.submit


# -- transactions


def test_on_waits_for_an_open_block_which_writes_to_its_end(
    is_on: Callable[[], bool], operator: Callable[..., Future[Any]]
) -> None:
    with transaction.atomic():
        Tag.objects.create(name="before on")
        command = operator(on)
        wait_for(is_on)
        Tag.objects.create(name="after on")
        waited = not command.done()
    receipt = command.result()
    resolution.begin_request()
    assert (waited, Tag.objects.filter(name__endswith=" on").count(), receipt.roles) == (
        True,
        2,
        (login("default"),),
    )


def test_after_an_open_block_the_process_is_read_only(
    is_on: Callable[[], bool], operator: Callable[..., Future[Any]]
) -> None:
    with transaction.atomic():
        Tag.objects.create(name="before on")
        command = operator(on)
        wait_for(is_on)
    command.result()
    resolution.begin_request()
    with pytest.raises(ReadOnlyError):
        Tag.objects.create(name="refused")


def test_an_open_block_of_the_twin_stays_its_own_across_off() -> None:
    met_on()
    with transaction.atomic():
        before = served_by()
        off()
        with pytest.raises(ReadOnlyError), transaction.atomic():
            Tag.objects.create(name="refused")
        assert (before, served_by()) == ("readonly", "readonly")


def test_after_an_open_block_of_the_twin_the_process_writes() -> None:
    met_on()
    with transaction.atomic():
        Product.objects.count()
        off()
    wait_until_writable()
    Tag.objects.create(name="written")


@pytest.mark.parametrize("switch", [None, off], ids=["on", "on and off"])
def test_a_block_that_meets_on_as_it_connects_reads_and_refuses_to_its_end(
    switch: Callable[[], None] | None,
) -> None:
    on_at_once()
    with transaction.atomic():
        counted = Product.objects.count()
        if switch:
            switch()
        with pytest.raises(ReadOnlyError), transaction.atomic():
            Tag.objects.create(name="refused")
        assert (counted, Product.objects.count()) == (COUNT, COUNT)


def test_a_session_that_began_read_only_is_not_kept_beyond_off() -> None:
    on_at_once()
    with transaction.atomic():
        fenced = session().info.backend_pid
        off()
    wait_until_writable()
    Tag.objects.create(name="on a new session")
    assert session().info.backend_pid != fenced


# -- server-side cursors


def rows(*, first: int = 5) -> Iterator[Product]:
    """Begin to read through a server-side cursor, with most of it still to be fetched."""
    products = Product.objects.order_by("pk").iterator(chunk_size=first)
    next(products)
    return products


def test_an_iterator_that_is_open_as_on_is_thrown_is_read_to_its_end(
    is_on: Callable[[], bool], operator: Callable[..., Future[Any]]
) -> None:
    products = rows()
    command = operator(on, grace=60, deadline=60)
    wait_for(is_on)
    read = len(list(products))
    wait_for(is_read_only)
    assert (read, command.result().ended) == (COUNT - 1, 0)


def test_an_iterator_is_read_to_its_end_after_the_process_met_on(
    is_on: Callable[[], bool], operator: Callable[..., Future[Any]]
) -> None:
    products = rows()
    command = operator(on, grace=60, deadline=60)
    wait_for(is_on)
    wait_for(is_read_only)
    with pytest.raises(ReadOnlyError):
        Tag.objects.create(name="refused")
    read = len(list(products))
    is_read_only()
    served_by()
    assert (read, command.result().ended) == (COUNT - 1, 0)


def test_an_iterator_in_a_block_is_waited_for(
    is_on: Callable[[], bool], operator: Callable[..., Future[Any]]
) -> None:
    with transaction.atomic():
        products = rows()
        command = operator(on)
        wait_for(is_on)
        assert (len(list(products)), command.done()) == (COUNT - 1, False)
    command.result()


def test_an_iterator_that_is_open_as_off_is_thrown_is_read_to_its_end() -> None:
    met_on()
    products = rows()
    off()
    wait_until_writable()
    Tag.objects.create(name="meanwhile")
    assert len(list(products)) == COUNT - 1


def test_an_iterator_that_outlives_the_grace_ends_with_an_error_and_the_next_read_is_served() -> None:
    products = rows()
    on_at_once()
    with pytest.raises(OperationalError):
        list(products)
    assert len(list(rows())) == COUNT - 1


# -- kept references


def test_a_kept_connection_follows_on_and_off() -> None:
    kept = connections["default"]
    served = []
    for switch, serves in ((off, "default"), (on_at_once, "readonly"), (off, "default")):
        switch()
        wait_for(lambda serves=serves: read_by(kept) == serves)
        served.append(read_by(kept))
    assert served == ["default", "readonly", "default"]


def read_by(kept: Any) -> str:
    with kept.cursor() as cursor:
        return whose(cursor)


def test_blocks_of_a_kept_connections_alias_follow_on_and_off() -> None:
    kept = connections["default"]
    served = []
    for switch, serves in ((on_at_once, "readonly"), (off, "default")):
        switch()
        wait_for(lambda serves=serves: served_by() == serves)
        with transaction.atomic(using=kept.alias):
            served.append(read_by(kept))
    assert served == ["readonly", "default"]


def test_a_kept_connection_refuses_to_write_while_the_switch_is_on() -> None:
    kept = connections["default"]
    session()
    on_at_once()
    # Nobody looked whether its session is still there: what is sent on it may have landed.
    for error in (OperationalError, ReadOnlyError):
        with pytest.raises(error), kept.cursor() as cursor:
            cursor.execute("INSERT INTO shop_tag (name) VALUES ('refused')")


def test_a_connection_taken_while_the_switch_is_on_stays_the_twins() -> None:
    """Nothing tells it from one that was asked for as the twin: it goes on reading, and refuses."""
    met_on()
    kept = connections["default"]
    off()
    wait_until_writable()
    assert read_by(kept) == "readonly"
    with pytest.raises(ReadOnlyError), kept.cursor() as cursor:
        cursor.execute("INSERT INTO shop_tag (name) VALUES ('refused')")


@pytest.mark.parametrize("meet", [lambda: None, served_by], ids=["ended", "left"])
def test_a_kept_cursor_follows_on(meet: Callable[[], Any]) -> None:
    with connection.cursor() as kept:
        before = whose(kept)
        on_at_once()
        meet()
        assert (before, whose(kept)) == ("default", "readonly")


def test_a_kept_cursor_follows_off_once_the_process_has_met_it() -> None:
    met_on()
    with connection.cursor() as kept:
        before = whose(kept)
        off()
        wait_until_writable()
        assert (before, whose(kept)) == ("readonly", "default")
