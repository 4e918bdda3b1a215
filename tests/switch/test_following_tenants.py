"""A tenant of django-tenants before, at and after a throw: no row of another tenant is read or written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, close_old_connections, connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django_tenants.utils import schema_context
from psycopg.sql import SQL, Identifier

from readonly_router import ReadOnlyError, SessionEndedError, read_only, writable
from readonly_router.connections import handler as resolution
from readonly_router.following import followers
from readonly_router.middleware import ReadOnlyMiddleware
from tests.database import entry
from tests.example.shop.models import Tag
from tests.harness.pairs import wait_for
from tests.switch.follower import end_idle, flipped, following_anew, login, off, on_at_once, served_by, session

ENGINE = "django_tenants.postgresql_backend"
TENANTS = ("tenant_a", "tenant_b")


@pytest.fixture(autouse=True, params=[False, True], ids=["set at each cursor", "set once a session"])
def tenants(
    shop: None,
    superuser: psycopg.Connection[Any],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[None]:
    """Two tenants, each with a tag of its name, on a pair of django-tenants' engine that follows the switch."""
    settings.TENANT_LIMIT_SET_CALLS = request.param
    monkeypatch.setattr(followers.of("default"), "ask_seconds", 0.0)
    monkeypatch.setattr(followers.of("default"), "look_seconds", 0.0)
    for tenant in TENANTS:
        _make(superuser, tenant)
    superuser.execute("INSERT INTO public.shop_tag (name) VALUES ('public')")
    try:
        with entry("default", ENGINE=ENGINE), entry("readonly", ENGINE=ENGINE), following_anew():
            # Without a session there is no news.
            session()
            yield
    finally:
        for tenant in TENANTS:
            superuser.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(tenant)))


def _make(superuser: psycopg.Connection[Any], tenant: str) -> None:
    names = {
        "tenant": Identifier(tenant),
        "writer": Identifier(login("default")),
        "twin": Identifier(login("readonly")),
    }
    for text in (
        "CREATE SCHEMA {tenant} AUTHORIZATION {writer}",
        "CREATE TABLE {tenant}.shop_tag (LIKE public.shop_tag INCLUDING ALL)",
        "ALTER TABLE {tenant}.shop_tag OWNER TO {writer}",
        "GRANT USAGE ON SCHEMA {tenant} TO {twin}",
        "GRANT SELECT ON {tenant}.shop_tag TO {twin}",
    ):
        superuser.execute(SQL(text).format(**names))
    superuser.execute(SQL("INSERT INTO {}.shop_tag (name) VALUES (%s)").format(Identifier(tenant)), [tenant])


def whose() -> str:
    """Return the tenant whose rows are read: of the tags, each schema has the one of its own name."""
    names = {*Tag.objects.filter(name__in=[*TENANTS, "public"]).values_list("name", flat=True)}
    (name,) = names
    return str(name)


def written(superuser: psycopg.Connection[Any], name: str) -> list[str]:
    """Return the schemas that hold a tag of a name."""
    return [
        schema
        for schema in ("public", *TENANTS)
        if superuser.execute(
            SQL("SELECT FROM {}.shop_tag WHERE name = %s").format(Identifier(schema)), [name]
        ).fetchall()
    ]


def leads(alias: str) -> None:
    wait_for(lambda: resolution.resolve("default") == alias)


def thrown_on() -> None:
    flipped()
    leads("readonly")


def thrown_off() -> None:
    off()
    leads("default")


THROWS: tuple[Callable[[], None], ...] = (int, thrown_on, int, thrown_off, int, thrown_on, thrown_off)


# -- in a worker


def test_a_loop_within_a_tenant_stays_with_it_before_at_and_after_each_throw() -> None:
    with schema_context("tenant_b"):
        seen = []
        for throw in THROWS:
            throw()
            seen.append(whose())
    assert (seen, whose()) == (["tenant_b"] * len(THROWS), "public")


def test_a_loop_that_closes_old_connections_stays_with_its_tenant_however_the_session_was_lost() -> None:
    with schema_context("tenant_b"):
        seen = []
        for throw in (int, flipped, end_idle, off, int, on_at_once, off):
            throw()
            close_old_connections()
            seen.append(whose())
    assert (seen, whose()) == (["tenant_b"] * 7, "public")


def test_a_loop_over_the_tenants_reads_each_ones_own() -> None:
    seen = []
    for throw in THROWS:
        for tenant in TENANTS:
            with schema_context(tenant):
                seen.append((whose(), tenant))
        seen.append((whose(), "public"))
        throw()
    assert [found for found, expected in seen if found != expected] == []


@pytest.mark.parametrize("before", [int, thrown_on], ids=["on", "off"])
def test_a_tenants_block_that_ends_after_a_throw_ends_for_the_alias(
    before: Callable[[], None], superuser: psycopg.Connection[Any]
) -> None:
    before()
    with schema_context("tenant_a"):
        whose()
        with schema_context("tenant_b"):
            whose()
            (thrown_on if before is int else thrown_off)()
            assert whose() == "tenant_b"
        assert whose() == "tenant_a"
        if before is not int:
            Tag.objects.create(name="written")
    assert whose() == "public"
    assert written(superuser, "written") == ([] if before is int else ["tenant_a"])


def test_a_write_after_off_lands_in_the_tenant_and_one_before_is_refused(
    superuser: psycopg.Connection[Any],
) -> None:
    with schema_context("tenant_b"):
        Tag.objects.create(name="first")
        thrown_on()
        with pytest.raises(ReadOnlyError):
            Tag.objects.create(name="refused")
        thrown_off()
        Tag.objects.create(name="second")
    found = [written(superuser, name) for name in ("first", "refused", "second")]
    assert found == [["tenant_b"], [], ["tenant_b"]]


def test_a_session_that_ended_in_use_is_said_or_replaced_with_its_tenant() -> None:
    with schema_context("tenant_b"):
        whose()
        flipped()
        end_idle()
        with pytest.raises(SessionEndedError):
            whose()
        assert (whose(), served_by()) == ("tenant_b", "readonly")


@contextmanager
def ended_as_it_is_sent(nth: int, *, then: Callable[[], object] = int) -> Iterator[None]:
    """Switch on and end the session just before its next statement is sent, or the one after it."""
    sent: list[str] = []

    def end(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.append(sql)
        if len(sent) == nth:
            flipped()
            end_idle()
            then()
        return execute(sql, params, many, context)

    with connections["default"].execute_wrapper(end):
        yield
    assert len(sent) >= nth


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_session_that_ended_under_its_statement_reads_no_other_tenant(nth: int, *, block: bool) -> None:
    with schema_context("tenant_b"):
        whose()
        close_old_connections()
        with ended_as_it_is_sent(nth):
            seen = [_read(block=block) for _ in range(3)]
    assert {*seen} <= {"tenant_b", "SessionEndedError", "OperationalError"}
    assert (seen[-1], whose(), served_by()) == ("tenant_b", "public", "readonly")


def _read(*, block: bool) -> str:
    try:
        with transaction.atomic() if block else nullcontext():
            return whose()
    except OperationalError as error:
        return type(error).__name__


def met_beside() -> None:
    """Have another thread meet the switch."""

    def meet() -> None:
        wait_for(lambda: served_by() == "readonly")
        connections.close_all()

    beside = threading.Thread(target=meet)
    beside.start()
    beside.join()


def test_an_error_that_the_engine_swallows_is_said_all_the_same() -> None:
    with schema_context("tenant_b"):
        with connection.cursor() as cursor:
            cursor.execute("SET work_mem = '9MB'")
        with (
            ended_as_it_is_sent(1, then=met_beside),
            pytest.raises(SessionEndedError, match="what was set on it is gone"),
        ):
            whose()
        assert (whose(), served_by()) == ("tenant_b", "readonly")


@pytest.mark.parametrize("scope", [read_only, writable])
def test_a_scope_stays_with_the_tenant(scope: Callable[[], Any], superuser: psycopg.Connection[Any]) -> None:
    thrown_on()
    with schema_context("tenant_b"):
        with scope():
            seen = [whose()]
            with schema_context("tenant_a"):
                seen.append(whose())
                if scope is writable:
                    Tag.objects.create(name="written")
            seen.append(whose())
        seen.append(whose())
    assert (seen, whose()) == (["tenant_b", "tenant_a", "tenant_b", "tenant_b"], "public")
    assert written(superuser, "written") == (["tenant_a"] if scope is writable else [])


# -- the twin by its own name


def of_twin() -> str:
    names = [*TENANTS, "public"]
    (name,) = Tag.objects.using("readonly").filter(name__in=names).values_list("name", flat=True)
    return str(name)


def test_the_twin_by_its_own_name_has_a_tenant_of_its_own() -> None:
    with schema_context("tenant_b"), schema_context("tenant_a", database="readonly"):
        assert (of_twin(), whose()) == ("tenant_a", "tenant_b")


def test_whose_block_ends_is_not_guessed_after_the_twin_was_asked_for_by_name() -> None:
    thrown_on()
    with schema_context("tenant_b"):
        whose()
        thrown_off()
        of_twin()
    with pytest.raises(SessionEndedError, match="given another tenant"):
        whose()
    connection.set_schema_to_public()
    assert whose() == "public"


def test_a_request_after_it_asks_for_both_as_it_likes() -> None:
    thrown_on()
    thrown_off()
    resolution.begin_request()
    for _ in range(2):
        with schema_context("tenant_a", database="readonly"):
            assert (of_twin(), whose()) == ("tenant_a", "public")


# -- in requests


def answer(tenant: str, view: Callable[[], str]) -> str:
    """Answer a request of a tenant's, as django-tenants' own middleware begins it."""

    def respond(_: HttpRequest) -> HttpResponse:
        connection.set_schema_to_public()
        connection.set_schema(tenant)
        return HttpResponse(view())

    try:
        response = ReadOnlyMiddleware(respond)(RequestFactory().get("/"))
    except SessionEndedError:
        return "ended"
    return response.content.decode()  # type: ignore[union-attr]


def test_requests_read_their_tenants_before_at_and_after_each_throw() -> None:
    def view() -> str:
        seen = {whose()}
        throws.pop()() if throws else None
        return ",".join({*seen, whose(), whose()})

    throws: list[Callable[[], Any]] = []
    for throw in (int, flipped, int, off, int, _dropped, int, off):
        throws.append(throw)
        for tenant in TENANTS:
            assert answer(tenant, view) in {tenant, "ended"}
    # News upon news is asked for a moment later.
    wait_for(lambda: served_by() == "default")
    assert answer("tenant_a", view) == "tenant_a"


def _dropped() -> None:
    flipped()
    end_idle()
