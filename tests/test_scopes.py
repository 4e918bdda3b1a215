"""Scopes hold wherever the work is done: coroutines of any making, threads, open transactions elsewhere."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils.decorators import method_decorator
from django.views import View

from readonly_router import ConfigurationError, ReadOnlyError, disable_writes, is_read_only, read_only, writable
from tests.database import entry
from tests.example.shop.models import Product, Tag

pytestmark = pytest.mark.usefixtures("shop")


class Writing(View):
    async def post(self, request: HttpRequest) -> HttpResponse:
        await Tag.objects.acreate(name="landed")
        return HttpResponse()


@method_decorator(read_only(), name="dispatch")
class Decorated(Writing):
    pass


@read_only()
def returning() -> Any:
    return Writing.as_view()(RequestFactory().post("/"))


VIEWS = {
    "method_decorator": partial(Decorated.as_view(), RequestFactory().post("/")),
    "returned": returning,
    "sync_to_async": read_only()(sync_to_async(partial(Tag.objects.create, name="landed"))),
    "view": partial(read_only()(Writing.as_view()), RequestFactory().post("/")),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_decorated_callable_that_returns_a_coroutine_is_read_only_to_its_end(view: Any) -> None:
    async def run() -> None:
        await view()

    with pytest.raises(ReadOnlyError):
        async_to_sync(run)()
    assert not Tag.objects.filter(name="landed").exists()


def test_a_class_is_not_decorated() -> None:
    with pytest.raises(TypeError, match="class"):
        read_only()(Writing)


def test_a_scope_entered_on_the_loop_refuses_an_open_writer_transaction_of_the_thread() -> None:
    @read_only()
    async def view() -> None:
        await Tag.objects.acreate(name="landed")

    with pytest.raises(ReadOnlyError), transaction.atomic():
        async_to_sync(view)()
    assert not Tag.objects.filter(name="landed").exists()


def test_one_scope_object_may_be_shared_by_threads() -> None:
    scope, errors, inside = writable(), [], threading.Barrier(2, timeout=10)
    disable_writes()

    def work() -> None:
        try:
            with scope:
                inside.wait()
            inside.wait()
            assert is_read_only()
        except Exception as error:  # noqa: BLE001 - told by the main thread
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_scope_of_a_task_ends_with_it() -> None:
    async def both() -> tuple[bool, bool]:
        async def inner() -> bool:
            with read_only():
                await asyncio.sleep(0)
                return is_read_only()

        return await asyncio.create_task(inner()), is_read_only()

    assert asyncio.run(both()) == (True, False)


def test_a_subquery_that_names_the_writer_works_in_read_only_mode() -> None:
    def found() -> int:
        tags = Tag.objects.using("default").all()
        explicit = Product.objects.using("default").filter(tags__in=tags).distinct().count()
        return explicit + Product.objects.filter(tags__in=tags).distinct().count()

    with read_only():
        read = found()
    assert read == found() > 0


def test_the_twins_alias_is_its_own_in_normal_mode() -> None:
    alias = connections["readonly"].alias
    assert (alias == "readonly", alias == "default", alias != "default") == (True, False, True)
    with read_only():
        assert (alias == "readonly", alias == "default") == (True, True)


def test_a_readiness_probe_over_all_connections_works_in_read_only_mode() -> None:
    with read_only():
        for wrapper in connections.all():
            wrapper.ensure_connection()


def test_a_kept_wrapper_opens_no_cursor_and_no_transaction() -> None:
    kept = connections["default"]
    kept.ensure_connection()
    with read_only():
        for door in (kept.cursor, kept.create_cursor, kept.chunked_cursor, lambda: kept.set_autocommit(False)):
            with pytest.raises(ReadOnlyError):
                door()


def test_a_session_that_was_left_writable_does_not_meet_the_next_request() -> None:
    disable_writes()
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
        cursor.execute("CREATE TEMP TABLE shop_tag (id bigint GENERATED ALWAYS AS IDENTITY, name text)")
    connections["default"].close_at = None
    connections["default"].close_if_unusable_or_obsolete()
    with pytest.raises(ReadOnlyError):
        Tag.objects.create(name="lost")


def test_a_login_that_libpq_resolves_to_the_writer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = connections.settings["default"]
    monkeypatch.setenv("PGUSER", writer["USER"])
    resolved = entry("readonly", USER="", PASSWORD=writer["PASSWORD"])
    with resolved, read_only(), pytest.raises(ConfigurationError, match="itself"), connection.cursor():
        pass
