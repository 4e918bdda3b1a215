"""What PostgreSQL refuses for other reasons than the window stays an error of the site."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import path
from psycopg import sql

from readonly_router import ReadOnlyError, disable_writes, is_read_only, mode
from readonly_router.http import refused
from tests.example.shop.models import Tag
from tests.harness.pairs import wait_for
from tests.switch.follower import following_anew, login, met_on, off

pytestmark = pytest.mark.usefixtures("pages")


@pytest.fixture
def closed_by_somebody_else(superuser: psycopg.Connection[Any]) -> Iterator[None]:
    """A writer whose sessions a DBA made read-only; so is a server that was demoted to a standby."""
    name = sql.Identifier(login("default"))
    with following_anew():
        superuser.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(name))
        yield
        superuser.execute(sql.SQL("ALTER ROLE {} RESET default_transaction_read_only").format(name))


@pytest.mark.parametrize("page", ["view", "service", "on-commit"])
def test_a_writer_that_somebody_else_closed_is_an_error_and_no_planned_window(
    closed_by_somebody_else: None, page: str
) -> None:
    with pytest.raises(ReadOnlyError):
        Client().get(f"/{page}/")
    answer = Client(raise_request_exception=False).get(f"/{page}/")

    assert (answer.status_code, "Read-Only" in answer, refused.known()) == (500, False, ())


def test_a_table_that_the_twin_may_not_read_is_an_error_that_names_the_cure(
    superuser: psycopg.Connection[Any],
) -> None:
    twin = sql.Identifier(login("readonly"))
    superuser.execute(sql.SQL("REVOKE SELECT ON shop_tag FROM {}").format(twin))
    disable_writes()
    try:
        with pytest.raises(ReadOnlyError, match="create_readonly_role --check"):
            Client().get("/tags/")
        answer = Client(raise_request_exception=False).get("/tags/")
    finally:
        mode.set_process(None)
        superuser.execute(sql.SQL("GRANT SELECT ON shop_tag TO {}").format(twin))

    assert (answer.status_code, refused.known()) == (500, ())


# A loop that a request of the window began, and that goes on after it.
found: list[str] = []


async def begin(_request: Any) -> HttpResponse:
    tasks.append(asyncio.create_task(_write_when_it_may()))
    await asyncio.sleep(0)
    return HttpResponse()


tasks: list[asyncio.Task[None]] = []


async def _write_when_it_may() -> None:
    while await _is_refused():
        await asyncio.sleep(0.02)


async def _is_refused() -> bool:
    try:
        await Tag.objects.acreate(name="from the loop")
    except ReadOnlyError:
        found.append("refused")
        return True
    found.append("written")
    return False


urlpatterns = [path("begin/", begin)]


def test_what_a_request_began_follows_the_switch_after_it() -> None:
    from django.test import AsyncClient

    async def story() -> None:
        with override_settings(ROOT_URLCONF=__name__):
            assert (await AsyncClient().get("/begin/")).status_code == 200
        while "refused" not in found:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(off)
        await asyncio.wait_for(tasks.pop(), timeout=30)
        await sync_to_async(connections.close_all)()

    found.clear()
    with following_anew():
        met_on()
        wait_for(is_read_only)
        asyncio.run(story())

    assert (found[0], found[-1]) == ("refused", "written")
