"""What PostgreSQL refuses for other reasons than the window stays an error of the site."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse
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


@pytest.fixture
def kept_function(superuser: psycopg.Connection[Any]) -> Iterator[None]:
    """A function that the twin may not execute, and a view that calls it."""
    superuser.execute("CREATE FUNCTION \"Total\"(int) RETURNS int LANGUAGE sql AS 'SELECT $1'")
    superuser.execute('REVOKE EXECUTE ON FUNCTION "Total" FROM PUBLIC')
    superuser.execute('CREATE VIEW shop_total AS SELECT "Total"(1)')
    superuser.execute(sql.SQL("GRANT SELECT ON shop_total TO {}").format(sql.Identifier(login("readonly"))))
    yield
    mode.set_process(None)
    connections.close_all()
    superuser.execute('DROP VIEW shop_total; DROP FUNCTION "Total"')


@pytest.mark.parametrize(
    "query", ['SELECT "Total"(1)', "/* a view */ TABLE shop_total", "WITH a AS (SELECT 1) TABLE shop_total"]
)
def test_a_function_that_the_twin_may_not_execute_is_an_error_that_names_the_grant(
    kept_function: None, superuser: psycopg.Connection[Any], query: str
) -> None:
    disable_writes()

    with override_settings(ROOT_URLCONF=__name__):
        with pytest.raises(ReadOnlyError) as error:
            Client().get("/asking/", {"query": query})
        answer = Client(raise_request_exception=False).get("/asking/", {"query": query})
        (grant,) = re.findall(r"GRANT EXECUTE ON [^;]+;", str(error.value))
        superuser.execute(grant)
        afterwards = Client().get("/asking/", {"query": query})

    assert (answer.status_code, refused.known()) == (500, ())
    assert "create_readonly_role" not in str(error.value)
    assert afterwards.status_code == 200


@pytest.mark.parametrize(
    "query",
    ["SELECT nextval('shop_invoice_number')", "WITH a AS (DELETE FROM shop_tag RETURNING id) SELECT * FROM a"],
)
def test_a_write_that_begins_as_a_read_stays_a_refused_write(query: str) -> None:
    disable_writes()

    with override_settings(ROOT_URLCONF=__name__):
        answer = Client(raise_request_exception=False).get("/asking/", {"query": query})

    assert (answer.status_code, len(refused.known())) == (503, 1)


def ask(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        # Where the grants alone refuse, as behind a pooler.
        cursor.execute("SET default_transaction_read_only = off")
        cursor.execute(request.GET["query"])
    return HttpResponse()


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


urlpatterns = [path("begin/", begin), path("asking/", ask)]


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
