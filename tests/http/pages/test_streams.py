"""A stream is the 503 where it is refused before its first byte; otherwise it arrives as it would have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, modify_settings

from readonly_router import ReadOnlyError, enable_writes
from tests.example.shop.models import Tag
from tests.http.pages.asking import aget, consumes, get, is_unavailable
from tests.http.pages.noted import ran

pytestmark = pytest.mark.usefixtures("read_only_pages")


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


def test_a_stream_is_whole_when_its_first_chunk_was_drawn() -> None:
    answer = get("/stream/never/")

    assert b"".join(answer) == f"{Tag.objects.count()} tags,secondthird".encode()
    assert answer["Read-Only"] == "?1"


def test_an_asynchronous_stream_is_whole_when_its_first_chunk_was_drawn() -> None:
    async def read() -> bytes:
        answer = await AsyncClient().get("/astream/never/")
        return b"".join([chunk async for chunk in answer])

    assert async_to_sync(read)().endswith(b" tags,second")


def test_an_asynchronous_stream_is_whole_in_the_synchronous_handler() -> None:
    with pytest.warns(Warning, match="StreamingHttpResponse must consume"):
        answer = get("/astream/never/")

    assert b"".join(answer).endswith(b" tags,second")


@pytest.mark.parametrize("ask", [get, aget])
@consumes
def test_an_empty_stream_stays_empty(ask: Callable[[str], Any]) -> None:
    answer = ask("/nothing/")

    assert answer.status_code == 200
    assert list(answer.streaming_content if not answer.is_async else []) == []


def test_a_stream_that_a_refusal_ended_is_closed_once() -> None:
    assert is_unavailable(get("/rows/"))

    assert ran == ["rows closed"]


def test_another_error_in_a_stream_is_raised_where_it_would_have_been() -> None:
    answer = get("/stream/broken/")

    assert answer.status_code == 200
    with pytest.raises(LookupError):
        b"".join(answer)


def test_another_error_in_an_asynchronous_stream_is_raised_where_it_would_have_been() -> None:
    async def read() -> int:
        answer = await AsyncClient().get("/astream/broken/")
        with pytest.raises(LookupError):
            [chunk async for chunk in answer]
        return int(answer.status_code)

    assert async_to_sync(read)() == 200


def test_a_refusal_after_the_first_byte_is_raised() -> None:
    answer = get("/stream/later/")

    assert answer.status_code == 200
    with pytest.raises(ReadOnlyError):
        b"".join(answer)


def test_a_refusal_behind_a_compressors_header_is_the_503() -> None:
    with modify_settings(MIDDLEWARE={"append": "django.middleware.gzip.GZipMiddleware"}):
        answer = get("/stream/first/", headers={"Accept-Encoding": "gzip"})
        fine = get("/stream/never/", headers={"Accept-Encoding": "gzip"})

    assert is_unavailable(answer)
    assert fine["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("path", ["/file/", "/stream/never/?type=text/event-stream"])
def test_what_may_be_long_or_silent_is_not_drawn(path: str) -> None:
    answer = get(path)

    assert ran == []
    answer.close()


def test_a_stream_of_normal_mode_is_not_drawn() -> None:
    enable_writes()
    answer = get("/stream/broken/")

    assert (answer.status_code, ran) == (200, [])
    answer.close()
