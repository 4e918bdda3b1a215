"""One process of a variant that serves requests by itself: times them, or counts what they send to PostgreSQL."""

from __future__ import annotations

import operator
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from wsgiref.util import setup_testing_defaults

import django
import psycopg

from tests.bench.fleet import SECONDS
from tests.bench.query_worker import timed
from tests.bench.workers import serve

Serve = Callable[[int], None]

SETTLE_SECONDS = 1.5


def main() -> None:
    django.setup()
    request = _server()
    serve(
        {
            "settle": lambda key: _settle(request, key),
            "request": lambda key, count, pause: timed(lambda: request(key), count, pause=pause),
            "parts": _parts,
            "count": lambda seconds, threads: _count(request, seconds=seconds, threads=threads),
        }
    )


def _server() -> Serve:
    from django.core.handlers.wsgi import WSGIHandler

    handler = WSGIHandler()

    def request(key: int) -> None:
        response = handler(_environ(key), lambda *_: None)
        assert response.status_code == 200
        # As a server does: this ends the request, and with it a connection that is too old.
        response.close()

    return request


def _environ(key: int) -> dict[str, Any]:
    environ: dict[str, Any] = {"PATH_INFO": f"/{key}/"}
    setup_testing_defaults(environ)
    return environ


def _settle(request: Serve, key: int) -> bool:
    """Serve until the connection is old enough to listen; without us there is nothing to wait for."""
    from django.apps import apps
    from django.db import connections

    request(key)
    if not apps.is_installed("readonly_router"):
        return True
    from readonly_router.following.watch import watch_of

    deadline = time.monotonic() + SECONDS
    while watch_of(connections["default"].connection).pushed is None:
        if time.monotonic() > deadline:
            raise SystemExit("The connection never listened.")
        time.sleep(0.05)
        request(key)
    return True


def _parts(count: int, pause: float) -> dict[str, float]:
    """Return the microseconds of the middleware around nothing when it looks, and of a connection's look-up."""
    from django.core.handlers.wsgi import WSGIRequest
    from django.db import connections
    from django.http import HttpResponse
    from django.utils.connection import BaseConnectionHandler

    from readonly_router.middleware import ReadOnlyMiddleware

    response = HttpResponse()

    def nothing(_: Any) -> Any:
        return response

    request = WSGIRequest(_environ(1))
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any], float]] = {
        "middleware": (partial(ReadOnlyMiddleware(nothing), request), partial(nothing, request), pause),
        "look-up": (
            partial(operator.getitem, connections, "default"),
            partial(BaseConnectionHandler.__getitem__, connections, "default"),
            0.0,
        ),
    }
    return {
        name: timed(act, count, pause=pause)["wall"] - timed(without, count, pause=pause)["wall"]
        for name, (act, without, pause) in pairs.items()
    }


def _count(request: Serve, *, seconds: float, threads: int) -> dict[str, Any]:
    """Serve requests for a while; return how many, all statements, and when the catalog was asked.

    `threads` serve at once, from connections of their own; 0 is this thread, with the connection it has.
    """
    over, served, statements, asked = threading.Event(), [], [], []

    def work() -> None:
        while not over.is_set():
            request(1)
            served.append(1)

    crowd = [threading.Thread(target=_closing, args=(work,)) for _ in range(threads)]
    for thread in crowd:
        thread.start()
    # What each asks as it begins is no part of it.
    time.sleep(SETTLE_SECONDS if crowd else 0.0)
    with _noted(statements, asked):
        served.clear()
        timer = threading.Timer(seconds, over.set)
        timer.start()
        if not crowd:
            work()
        for each in (timer, *crowd):
            each.join()
    return {"requests": len(served), "statements": len(statements), "asked": asked}


def _closing(work: Callable[[], None]) -> None:
    from django.db import connections

    try:
        work()
    finally:
        connections.close_all()


@contextmanager
def _noted(statements: list[Any], asked: list[float]) -> Iterator[None]:
    """Note what psycopg executes, the package's own statements among them."""
    below = psycopg.Cursor.execute

    def execute(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        statements.append(query)
        if "pg_db_role_setting" in str(query):
            asked.append(time.monotonic())
        return below(cursor, query, *args, **kwargs)

    psycopg.Cursor.execute = execute
    try:
        yield
    finally:
        psycopg.Cursor.execute = below


if __name__ == "__main__":
    main()
