"""This process as one that follows: the switch thrown around it, who serves it, and what it sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection, connections
from django.db.backends.signals import connection_created

from readonly_router import is_read_only
from readonly_router.connections import handler as resolution
from readonly_router.following import followers
from readonly_router.following.watch import watch_of
from readonly_router.mark import APPLICATION
from readonly_router.switch import events
from readonly_router.switch.flip import flip_on
from readonly_router.switch.off import switch_off
from readonly_router.switch.on import switch_on
from readonly_router.switch.receipt import Receipt
from readonly_router.switch.spec import Operator, Order
from readonly_router.switch.targets import hands, target_for
from tests.harness.pairs import wait_for

# Nobody waits that long: what is told meanwhile was not asked for.
NEVER = 3600.0


@contextmanager
def following_anew() -> Iterator[None]:
    """Begin and end knowing of no switch, with none thrown and no session open."""
    connections.close_all()
    followers.forget()
    try:
        yield
    finally:
        switch_off("default", grace=0)
        connections.close_all()
        followers.forget()


def on(**options: Any) -> Receipt:
    """Switch on as an operator does, ending idle sessions at once; this process is not told."""
    (receipt,) = switch_on("default", **{"grace": 0, "deadline": 30, **options})
    resolution.begin_request()
    return receipt


# But the operators' own.
_END_IDLE = """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE usename = %s AND datname = current_database() AND state = 'idle' AND application_name <> %s"""


def flipped(**said: Any) -> None:
    """Switch on without a drain: as within the grace."""
    target = target_for("default")
    with hands(target) as opened:
        log = events.required(events.log_of(opened.site, target), target)
        order = Order(operator=Operator.here("a test"), **said)
        flip_on(opened.operator, log, target, order, (target.writer,))


def end_idle() -> int:
    """End the writer's idle sessions as the drain does; return how many there were."""
    target = target_for("default")
    with hands(target) as opened:
        return len(opened.operator.execute(_END_IDLE, [target.writer, APPLICATION]).fetchall())


def on_at_once(**said: Any) -> int:
    """Switch on and end what is idle, without proof and receipt; return how many sessions were ended.

    As between two requests of this thread.
    """
    flipped(**said)
    resolution.begin_request()
    return end_idle()


def met_on(**said: Any) -> None:
    """Switch on and meet it by a query: without a session there is no news."""
    on_at_once(**said)
    assert served_by() == "readonly"


def off() -> None:
    switch_off("default", grace=0)


@contextmanager
def thrown(throw: Callable[..., Any], **options: Any) -> Iterator[Future[Any]]:
    """Throw the switch beside the block; it has been thrown when the block has ended."""
    with ThreadPoolExecutor(1) as operator:
        job = operator.submit(throw, **options)
        yield job
        job.result()


def login(alias: str) -> str:
    return str(connections.settings[alias]["USER"])


def served_by(alias: str = "default") -> str:
    """Return whose session serves an alias: `default` or `readonly`."""
    with connections[alias].cursor() as cursor:
        return whose(cursor)


def whose(cursor: Any) -> str:
    """Return the alias whose login a cursor's session has."""
    cursor.execute("SELECT session_user")
    (user,) = cursor.fetchone()
    return next(alias for alias in ("default", "readonly") if login(alias) == user)


def session() -> psycopg.Connection[Any]:
    """Return the session that serves the default alias, opened if need be."""
    connection.ensure_connection()
    served: psycopg.Connection[Any] = connections["default"].connection
    return served


def wait_until_writable() -> None:
    wait_for(lambda: not is_read_only())


def listen(monkeypatch: Any) -> psycopg.Connection[Any]:
    """Have the session that serves the alias listen now; from then on nothing is asked by age."""
    monkeypatch.setattr(followers.of("default"), "ask_seconds", 0.0)
    monkeypatch.setattr(followers.of("default"), "look_seconds", 0.0)
    is_read_only()
    served = session()
    is_read_only()
    assert watch_of(served).pushed
    monkeypatch.setattr(followers.of("default"), "ask_seconds", NEVER)
    return served


@contextmanager
def sent_on(*served: psycopg.Connection[Any]) -> Iterator[list[str]]:
    """Collect the statements that sessions send, by whatever cursor, the package's own among them."""
    with _noted([*served]) as sent:
        yield sent


@contextmanager
def sent_on_new() -> Iterator[list[str]]:
    """Collect the statements of sessions that are opened in the block, after Django's own."""
    opened: list[psycopg.Connection[Any]] = []

    def note(connection: Any, **_: Any) -> None:
        opened.append(connection.connection)

    connection_created.connect(note)
    try:
        with _noted(opened) as sent:
            yield sent
    finally:
        connection_created.disconnect(note)


@contextmanager
def _noted(sessions: list[psycopg.Connection[Any]]) -> Iterator[list[str]]:
    sent: list[str] = []
    execute = psycopg.Cursor.execute

    def noting(cursor: psycopg.Cursor[Any], query: Any, *args: Any, **kwargs: Any) -> Any:
        if cursor.connection in sessions:
            sent.append(str(query))
        return execute(cursor, query, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", noting)
        yield sent


def questions(sent: list[str]) -> int:
    """Count the questions for the switch."""
    return sum("pg_db_role_setting" in statement for statement in sent)
