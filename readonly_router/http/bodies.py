"""What a client is still sending is read and dropped, within bounds: its worker serves nobody else meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.http import HttpRequest

# What a proxy passes on in one go; who sends slowly, or more, has the connection ended.
MOST_BYTES, MOST_SECONDS = 16 * 2**20, 5.0
_AT_ONCE = 2**13


def discard(request: HttpRequest) -> None:
    """Read what a client is still sending: a server that answers in the middle of it ends the connection.

    Not where Django has read it beforehand, as in its asynchronous handler. gunicorn hands out the client's
    socket, so that no single read lasts longer; another server's may, as long as that server lets it.
    """
    if "wsgi.input" not in request.META or not _has_body(request):
        return
    client = request.META.get("gunicorn.socket")
    with _ending(client, MOST_SECONDS):
        is_over = _read(request, until=time.monotonic() + MOST_SECONDS)
    if not is_over:
        _end(client)


def _has_body(request: HttpRequest) -> bool:
    return request.META.get("CONTENT_LENGTH", "") not in {"", "0"}


def _read(request: HttpRequest, *, until: float) -> bool:
    """Read within the bounds and return whether all was read."""
    left = MOST_BYTES
    # A body that was read, or a client that went away.
    with suppress(OSError):
        while left > 0 and time.monotonic() < until:
            if not (found := request.read(_AT_ONCE)):
                return True
            left -= len(found)
    return False


@contextmanager
def _ending(client: Any, seconds: float) -> Iterator[None]:
    """End what a client sends after so many seconds, also within a read that waits for more."""
    if client is None:
        yield
        return
    timer = threading.Timer(seconds, _end, [client])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # it must not meet the socket of another client


def _end(client: Any) -> None:
    """Let every read find the end: the answer can still be sent, and the server then closes the connection."""
    if client is None:
        return
    # By a copy, for the method of a TLS socket would end the encryption as well.
    with suppress(OSError, ValueError), socket.fromfd(client.fileno(), client.family, client.type) as copy:
        copy.shutdown(socket.SHUT_RD)
