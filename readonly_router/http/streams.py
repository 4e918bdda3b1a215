"""A streaming response draws its first chunk while it still can become something else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import chain
from typing import Any, cast

from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse

from ..errors import ReadOnlyError, SessionEndedError, TwinLoginError

# Called with a refusal, or the error of a twin that cannot log in, that came before the first byte.
Refused = Callable[[ReadOnlyError | TwinLoginError | SessionEndedError], HttpResponseBase]


def is_drawn(response: HttpResponseBase) -> bool:
    """Return whether a response is worth drawing: a file writes nothing, an event stream may be silent."""
    if not response.streaming or isinstance(response, FileResponse):
        return False
    return not str(response.get("Content-Type", "")).startswith("text/event-stream")


def drawn(response: HttpResponseBase, refused: Refused) -> HttpResponseBase:
    """Return the stream with its first byte at hand, or what `refused` makes of a refusal before it."""
    stream = cast(StreamingHttpResponse, response)
    first: list[bytes] = []
    try:
        # Django's own iteration, which also takes an asynchronous stream, whole.
        chunks = iter(stream)
        while not _has_begun(stream, first):
            first.append(next(chunks))
    except StopIteration:
        chunks = iter(())
    except (ReadOnlyError, TwinLoginError, SessionEndedError) as error:
        return refused(error)
    except Exception as error:  # noqa: BLE001 - raised again where it would have been: as the server sends it
        chunks = _raised(error)
    stream.streaming_content = chain(first, chunks)
    return stream


async def adrawn(response: HttpResponseBase, refused: Refused) -> HttpResponseBase:
    """Do the same in an event loop."""
    stream = cast(StreamingHttpResponse, response)
    first: list[bytes] = []
    try:
        chunks = aiter(cast(Any, stream))
        while not _has_begun(stream, first):
            first.append(await anext(chunks))
    except StopAsyncIteration:
        chunks = _alater(())
    except (ReadOnlyError, TwinLoginError, SessionEndedError) as error:
        return refused(error)
    except Exception as error:  # noqa: BLE001 - kept, and raised where it is consumed
        chunks = _alater(_raised(error))
    stream.streaming_content = _ajoined(first, chunks)
    return stream


def _has_begun(stream: HttpResponseBase, first: list[bytes]) -> bool:
    """Return whether content was drawn: a compressor's header comes before it asks for the first of it."""
    header = 1 if stream.has_header("Content-Encoding") else 0
    return sum(map(bool, first)) > header


def _raised(error: Exception) -> Iterator[bytes]:
    """Raise the error when the first chunk is asked for."""
    yield from _raise(error)


def _raise(error: Exception) -> Iterator[bytes]:
    raise error


async def _alater(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def _ajoined(first: list[bytes], chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in first:
        yield chunk
    async for chunk in chunks:
        yield chunk
