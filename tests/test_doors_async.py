"""The async ORM and asyncio's tasks: a scope belongs to its task, and reaches the threads Django runs it in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, connections
from django.http import HttpResponse
from django.test import AsyncClient

from readonly_router import ReadOnlyError, disable_writes, is_read_only, read_only, writable
from tests.example.shop.models import Tag


@pytest.fixture
def unchanged(checksum: Callable[[], str]) -> Iterator[None]:
    before = checksum()
    yield
    assert checksum() == before


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine in a loop and threads of its own, as a server does, and close what they opened."""

    async def and_close() -> Any:
        try:
            return await main()
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(and_close())


def _user() -> str:
    with connection.cursor() as cursor:
        return str(cursor.execute("SELECT current_user").fetchone()[0])


def twin() -> str:
    return str(connections.settings["readonly"]["USER"])


def writer() -> str:
    return str(connections.settings["default"]["USER"])


def test_the_async_orm_is_refused_in_a_scope(unchanged: None) -> None:
    async def main() -> None:
        with read_only():
            assert (await Tag.objects.aget(name="organic"))._state.db == "readonly"
            with pytest.raises(ReadOnlyError):
                await Tag.objects.acreate(name="door")

    run(main)


def test_the_async_orm_is_refused_in_a_read_only_process(unchanged: None) -> None:
    async def main() -> None:
        with pytest.raises(ReadOnlyError):
            await Tag(name="door").asave()

    disable_writes()
    run(main)


def test_a_decorated_coroutine_is_read_only_to_its_end(unchanged: None) -> None:
    @read_only()
    async def page() -> None:
        await asyncio.sleep(0)
        await Tag.objects.acreate(name="door")

    with pytest.raises(ReadOnlyError):
        run(page)


def test_tasks_beside_each_other_keep_their_own_mode(shop: None) -> None:
    async def main() -> list[str]:
        return await asyncio.gather(reading.begin(), writing.begin())

    reading, writing = _Task(read_only), _Task(writable)
    reading.other, writing.other = writing, reading

    assert run(main) == [twin(), writer()]


class _Task:
    """A task that asks who it is while the other one is inside its scope as well."""

    other: _Task

    def __init__(self, scope: Any) -> None:
        self.scope, self.entered = scope, asyncio.Event()

    async def begin(self) -> str:
        with self.scope():
            self.entered.set()
            await self.other.entered.wait()
            return await sync_to_async(_user)()


def test_a_task_inherits_the_scope_it_was_made_in(shop: None) -> None:
    async def main() -> str:
        with read_only():
            task = asyncio.create_task(sync_to_async(_user)())
        return await task

    assert run(main) == twin()


def test_to_thread_carries_the_scope(shop: None) -> None:
    def ask() -> str:
        try:
            return _user()
        finally:
            connections.close_all()

    async def main() -> str:
        with read_only():
            return await asyncio.to_thread(ask)

    assert run(main) == twin()


def test_a_scope_entered_in_a_coroutine_does_not_leak_to_its_caller(shop: None) -> None:
    async def main() -> None:
        with read_only():
            await Tag.objects.acount()

    async_to_sync(main)()

    assert not is_read_only()


def test_an_async_view_is_refused(unchanged: None) -> None:
    async def main() -> tuple[HttpResponse, HttpResponse]:
        client = AsyncClient(raise_request_exception=False)
        return await client.get("/tags/"), await client.post("/tags/", {"name": "door"})

    disable_writes()
    read, written = async_to_sync(main)()

    assert (read.status_code, written.status_code) == (200, 503)
