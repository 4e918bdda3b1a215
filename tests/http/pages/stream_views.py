"""Pages that stream: refused before their first byte, after it, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from django.http import FileResponse, HttpRequest, StreamingHttpResponse

from tests.example.shop.models import Tag

from .noted import ran, write


def stream(request: HttpRequest, when: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(_chunks(when), content_type=request.GET.get("type", "text/plain"))


def _chunks(when: str) -> Iterator[str]:
    ran.append("stream began")
    try:
        yield from _before(when)
        yield "second"
        if when == "later":
            write()
        yield "third"
    finally:
        ran.append("stream closed")


def _before(when: str) -> Iterator[str]:
    if when == "first":
        write()
    if when == "broken":
        raise LookupError("a bug in a stream")
    if when == "empty-chunks":
        yield ""
        write()
    if when != "nothing":
        yield f"{Tag.objects.count()} tags,"


async def astream(request: HttpRequest, when: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(_achunks(when))


async def _achunks(when: str) -> AsyncIterator[str]:
    if when == "first":
        await Tag.objects.acreate(name="door")
    if when == "broken":
        raise LookupError("a bug in a stream")
    yield f"{await Tag.objects.acount()} tags,"
    yield "second"
    if when == "later":
        await Tag.objects.acreate(name="door")
        yield "third"


class Rows:
    """An iterator that holds something until it is closed, as a cursor does."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        write()
        return "row"

    def close(self) -> None:
        ran.append("rows closed")


def rows(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(Rows())


def nothing(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter(()))


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(_File([b"first", b"second"]))


class _File(list[bytes]):
    """A file of chunks that notes when it is read."""

    def read(self, size: int = -1) -> bytes:
        ran.append("file read")
        return self.pop(0) if self else b""

    def close(self) -> None:
        ran.append("file closed")
