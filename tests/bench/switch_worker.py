"""One process of a fleet: writes until it is refused, holds a transaction open, or throws the switch itself.

All times are time.monotonic(), which on Linux is one clock for all processes of a machine.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import django
import psycopg

from tests.bench.fleet import ASKED, BEGUN, CHANNEL, SECONDS
from tests.bench.workers import say, serve

Times = dict[str, float]

# When this process was told of the switch and when it connected, last of all.
_told: Times = {}


def main() -> None:
    django.setup()
    _note_what_is_told()
    serve(
        {
            "ready": _ready,
            "wait": _wait,
            "pace": _pace,
            "open": _open,
            "hear": _hear,
            "hear and log in": _hear_and_log_in,
            "hold": _hold,
            "on": _on,
            "off": _off,
            "verify": _verify,
        }
    )


def _note_what_is_told() -> None:
    from django.db.backends.signals import connection_created

    from readonly_router import read_only_changed

    def noticed(**_: Any) -> None:
        _told["noticed"] = time.monotonic()

    def connected(**_: Any) -> None:
        _told["connected"] = time.monotonic()

    read_only_changed.connect(noticed, weak=False)
    connection_created.connect(connected, weak=False)


# -- a process that follows


def _write(key: int) -> bool:
    """Write a row of one's own; return whether it was taken."""
    from django.db import close_old_connections
    from django.db.models import F

    from readonly_router import ReadOnlyError
    from tests.example.shop.models import PageView

    # A round of a loop, as Django asks of loops: a session that `off` renewed meanwhile is replaced.
    close_old_connections()
    try:
        PageView.objects.filter(pk=key).update(hits=F("hits") + 1)
    except ReadOnlyError:
        return False
    return True


def _ready(key: int) -> bool:
    """Write until the connection is old enough to listen, or knows that it cannot."""
    from django.db import connections

    from readonly_router.following.watch import watch_of

    _until(lambda: _write(key) and watch_of(connections["default"].connection).pushed is not None, pause=0.05)
    return True


def _wait(key: int) -> Times:
    """Wait for something to arrive on the connection, then write, until that is refused."""
    from django.db import connections

    descriptor = connections["default"].connection.fileno()
    _told.clear()
    say(BEGUN)
    _await_input(descriptor)
    heard = time.monotonic()
    _until(lambda: not _write(key))
    return {"heard": heard, **_told, "refused": time.monotonic()}


def _pace(key: int, pause: float) -> Times:
    """Write at a pace until that is refused."""
    _told.clear()
    say(BEGUN)
    _until(lambda: not _write(key), pause=pause)
    return {**_told, "refused": time.monotonic()}


def _hold(key: int, seconds: float, afterwards: str) -> float:
    """Keep a transaction open, and then close the connection, go on reading, or do nothing; tell when it ended."""
    from django.db import connections, transaction

    from tests.example.shop.models import PageView

    began = time.monotonic()
    with transaction.atomic():
        PageView.objects.filter(pk=key).update(hits=0)
        say(BEGUN)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
    ended = time.monotonic()
    if afterwards == "close":
        connections["default"].close()
    elif afterwards == "read":
        PageView.objects.filter(pk=key).exists()
    return ended


# -- one that only listens


@cache
def _listening() -> psycopg.Connection[Any]:
    # Not as the writer: the drain would end it.
    connection = psycopg.connect(os.environ["BENCH_ADMIN_URL"], autocommit=True)
    connection.execute(f"LISTEN {CHANNEL}".encode())
    return connection


@cache
def _reading() -> psycopg.Connection[Any]:
    return psycopg.connect(os.environ["DATABASE_READONLY_URL"], autocommit=True)


def _open() -> bool:
    _listening()
    _reading()
    return True


def _hear(key: int) -> Times:
    """Wait for a notification, then be refused one write on a session that is open already."""
    heard = _heard()
    return {"heard": heard, "refused": _refused(_reading(), key)}


def _hear_and_log_in(key: int) -> Times:
    """Wait for a notification, then log in and be refused one write."""
    heard = _heard()
    with psycopg.connect(os.environ["DATABASE_READONLY_URL"], autocommit=True) as connection:
        return {"heard": heard, "connected": time.monotonic(), "refused": _refused(connection, key)}


def _heard() -> float:
    connection = _listening()
    say(BEGUN)
    _await_input(connection.fileno())
    for _ in connection.notifies(timeout=0):
        pass
    return time.monotonic()


def _refused(connection: psycopg.Connection[Any], key: int) -> float:
    try:
        connection.execute("UPDATE shop_pageview SET hits = hits + 1 WHERE id = %s", [key])
    except psycopg.Error:
        return time.monotonic()
    raise SystemExit("The twin wrote.")


# -- the operator


def _on(**options: Any) -> Times:
    """Throw the switch; tell when it was asked for, committed, and proved."""
    from readonly_router import switch_on
    from readonly_router.switch import flip

    below, committed = flip.server_time, []

    def next_to_the_commit(connection: Any) -> Any:
        # What the flip does first, once its transaction is over.
        committed.append(time.monotonic())
        return below(connection)

    flip.server_time = next_to_the_commit
    asked = time.monotonic()
    try:
        switch_on("default", admin=_admin(), **options)
    finally:
        flip.server_time = below
    return {ASKED: asked, "committed": committed[0], "receipt": time.monotonic()}


def _off() -> bool:
    from readonly_router import switch_off

    switch_off("default", grace=0, admin=_admin())
    return True


def _verify() -> Times:
    from readonly_router.switch import reports

    receipt = reports.receipt_of("default")
    asked = time.monotonic()
    verdict = reports.verify(receipt)
    answered = time.monotonic()
    if not verdict.clean:
        raise SystemExit(f"Something was written: {verdict}")
    return {ASKED: asked, "answered": answered, "bytes": len(receipt.to_json())}


def _admin() -> Any:
    """A direct login where the site's own leads through a pooler."""
    from readonly_router.databases import parse_url

    return parse_url(os.environ, "BENCH_ADMIN_URL") if os.environ.get("BENCH_POOLED") else None


# -- waiting


def _await_input(descriptor: int) -> None:
    if not select.select([descriptor], [], [], SECONDS)[0]:
        raise SystemExit("Nothing was heard.")


def _until(reached: Callable[[], bool], *, pause: float = 0.0) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached():
        if time.monotonic() > deadline:
            raise SystemExit("The switch was not met in time.")
        time.sleep(pause)


if __name__ == "__main__":
    main()
