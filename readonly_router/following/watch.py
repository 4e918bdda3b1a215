"""What one connection knows of the switch, read from its socket without waiting and without a query."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from ..mark import CHANNEL, SETTING


class Watch:
    """What one psycopg connection knows of the switch; stands in its place as the handler of notifications.

    `pushed` tells whether PostgreSQL pushes the news on it: None as long as nobody asked.
    """

    __slots__ = (
        "began_read_only", "database", "ended", "fenced", "heard", "mark", "opened", "opened_for_writing",
        "others", "outlived", "poll", "pushed",
    )  # fmt: skip

    def __init__(self, connection: Any) -> None:
        self.opened = time.monotonic()
        # As PostgreSQL reports it unasked; a pooler tells of another session.
        self.began_read_only = connection.info.parameter_status(SETTING) == "on"
        self.heard = False
        self.pushed: bool | None = None
        # The switch's mark as the session was born, and the OID of its database; None where nobody knows.
        self.mark: str | None = None
        self.database: int | None = None
        # Whether the switch moved before the session ended; None as long as nobody asked.
        self.outlived: bool | None = None
        # The session began while the switch was on.
        self.fenced = False
        # And was made writable all the same.
        self.opened_for_writing = False
        self.others = connection.pgconn.notify_handler
        self.poll: Callable[[], Any] | None = None
        # libpq takes the last words of a session that is idle for a notice, and its end may come a moment later.
        self.ended = False
        connection.add_notice_handler(self._hear)

    def is_older_than(self, mark: str, database: int) -> bool:
        """Return whether the switch moved since the session was born: it has this mark now, in this database."""
        moved = self.mark is not None and self.mark != mark
        return moved or self.database not in {None, database}

    def _hear(self, notice: Any) -> None:
        self.ended = self.ended or notice.severity_nonlocalized == "FATAL"

    def __call__(self, notification: Any) -> None:
        if notification.relname == CHANNEL.encode():
            self.heard = True
        elif self.others is not None:
            self.others(notification)


def can_tell(connection: Any) -> bool:
    """Return whether a connection is psycopg 3's: a check tells of another driver, which is not followed."""
    return hasattr(connection, "pgconn")


def plain_cursor(connection: Any) -> psycopg.Cursor[tuple[Any, ...]]:
    """Return a cursor for our own questions: the application's may make other rows, or do more than execute."""
    return psycopg.Cursor(connection, row_factory=tuple_row)


def watch_of(connection: Any) -> Watch:
    """Return the connection's watch, set on it the first time."""
    handler = connection.pgconn.notify_handler
    if not isinstance(handler, Watch):
        handler = connection.pgconn.notify_handler = Watch(connection)
    return handler


def is_watched(connection: Any) -> bool:
    """Return whether the connection was met before: a pool hands out those of former requests."""
    return can_tell(connection) and isinstance(connection.pgconn.notify_handler, Watch)


def has_ended(connection: Any) -> bool:
    """Return whether the other end of a connection at rest is gone."""
    return connection.closed or _ended(connection, watch_of(connection))


def is_lost(connection: Any) -> bool:
    """Return whether psycopg gave up on a command because its socket was reset: it would stay busy for ever.

    Where the kernel tells of a reset before it tells of the end, psycopg raises "connection socket closed" and
    neither closes the connection nor lets another command in.
    """
    if (
        not can_tell(connection)
        or connection.closed
        or connection.pgconn.transaction_status != TransactionStatus.ACTIVE
    ):
        return False
    try:
        with socket.socket(fileno=os.dup(connection.pgconn.socket)) as same:
            return same.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
    except OSError:
        return True  # not even a socket any more


def _poll(descriptor: int) -> Callable[[], Any]:
    """Return a function that tells whether the socket has something to read, without waiting."""
    if not hasattr(select, "poll"):  # Windows, and what gevent leaves of the module
        return lambda: select.select([descriptor], [], [], 0)[0]
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return partial(poll.poll, 0)


def _ended(connection: Any, watch: Watch) -> bool:
    """Read what came in; return whether the other end is gone: its last words come before the end itself."""
    pgconn = connection.pgconn
    try:
        watch.poll = watch.poll or _poll(pgconn.socket)
        while watch.poll():
            pgconn.consume_input()
            _hand_over(pgconn)
    except psycopg.Error:
        return True
    return watch.ended


def _hand_over(pgconn: Any) -> None:
    while (notification := pgconn.notifies()) is not None:
        pgconn.notify_handler(notification)
