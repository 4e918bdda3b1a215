"""Who sends slowly, or without an end, to a site that is read-only: no worker is held for long."""

from __future__ import annotations

import io
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import RequestFactory

from readonly_router.http import bodies
from tests.harness.pairs import wait_for
from tests.http.pages.servers import KINDS, Server, served
from tests.snapshot import Snapshot

HEAD = b"POST /echo/ HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
# gunicorn itself ends a worker that is silent for 30 seconds.
SOON = 20


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=[{}, {"GET_ONLY_MODE": "True"}], ids=["refused", "as a GET"])
def site(kind: str, request: pytest.FixtureRequest, filled_shop: Snapshot) -> Iterator[Server]:
    with served(kind, DB_READ_ONLY="1", **request.param) as running:
        yield running


@contextmanager
def sending(site: Server, *, slowly: bool) -> Iterator[tuple[socket.socket, list[int]]]:
    """Send a body that has no end, and count what was taken of it."""
    over, sent = threading.Event(), [0]
    with socket.create_connection(("127.0.0.1", site.port), timeout=SOON) as client:
        client.sendall(HEAD % 10**12)

        def go_on() -> None:
            with suppress(OSError):
                while not over.is_set():
                    sent[0] += client.send(b"x" if slowly else b"x" * 2**16)
                    if slowly:
                        over.wait(0.1)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield client, sent
        finally:
            over.set()
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            thread.join()


def answer_of(client: socket.socket) -> bytes:
    """Read an answer to its end; the end of a connection in the middle of a body may be a hard one."""
    found = b""
    with suppress(ConnectionResetError):
        while more := client.recv(2**16):
            found += more
    return found


@dataclass(frozen=True, kw_only=True)
class Slow:
    """A body that comes slowly: what somebody else is answered meanwhile, how soon, and what its sender is."""

    status: int
    seconds: float
    answer: bytes


@pytest.fixture(scope="module")
def slow(site: Server, kind: str) -> Slow:
    begun = time.monotonic()
    with sending(site, slowly=True) as (client, sent):
        wait_for(lambda: sent[0] > 1)
        status = site.ask("GET", "/tags/").status
        seconds = time.monotonic() - begun
        return Slow(status=status, seconds=seconds, answer=answer_of(client) if kind != "uvicorn" else b"")


def test_nobody_waits_long_for_a_slow_body(slow: Slow) -> None:
    assert (slow.status, slow.seconds < SOON) == (200, True)


def test_nobody_waits_long_for_a_body_without_an_end(site: Server) -> None:
    begun = time.monotonic()
    with sending(site, slowly=False) as (_, sent):
        wait_for(lambda: sent[0] > 1)

        assert site.ask("GET", "/tags/").status == 200

    assert time.monotonic() - begun < SOON


@pytest.mark.parametrize("kind", ["gunicorn", "gunicorn of threads"], indirect=True)
def test_who_sends_slowly_is_answered_and_the_connection_ended(slow: Slow, kind: str) -> None:
    assert slow.answer.startswith((b"HTTP/1.1 503 ", b"HTTP/1.1 200 "))
    assert b"Read-Only: ?1" in slow.answer


@pytest.mark.parametrize("kind", ["gunicorn", "gunicorn of threads"], indirect=True)
def test_who_sends_much_is_cut_off(site: Server, kind: str) -> None:
    with sending(site, slowly=False) as (client, sent):
        select.select([client], [], [], SOON)

        answer_of(client)

    # What the buffers of both ends hold comes on top.
    assert sent[0] < 4 * bodies.MOST_BYTES


# -- a server that hands out no socket


class Endless(io.RawIOBase):
    """A body that comes in pieces, in so many seconds each of a clock that is handed in."""

    def __init__(self, clock: list[float], seconds: float) -> None:
        self.clock, self.seconds, self.taken = clock, seconds, 0

    def read(self, size: int = -1) -> bytes:
        self.clock[0] += self.seconds
        self.taken += size
        return b"x" * size


@pytest.mark.parametrize(("seconds", "most"), [(0, bodies.MOST_BYTES), (1, 5 * 2**13)], ids=["bytes", "time"])
def test_reading_is_bounded_everywhere(seconds: float, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    body = Endless(clock, seconds)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    request = RequestFactory().generic("POST", "/echo/", CONTENT_LENGTH=str(10**12), **{"wsgi.input": body})

    bodies.discard(request)

    assert body.taken == most


@pytest.mark.parametrize("length", ["", "0"])
def test_a_request_without_a_body_is_not_read(length: str) -> None:
    body: Any = Endless([0.0], 0)
    request = RequestFactory().generic("POST", "/echo/", CONTENT_LENGTH=length, **{"wsgi.input": body})

    bodies.discard(request)

    assert body.taken == 0
