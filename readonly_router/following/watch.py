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

# Messages of PostgreSQL that come unasked: notification, error, notice and parameter. Of the first, its length and
# the sender's process stand before the channel. https://www.postgresql.org/docs/current/protocol-message-formats.html
_NOTIFICATION, _TOLD_UNASKED = b"A", (b"E", b"N", b"S")
_BEFORE_CHANNEL, _SEEN = 9, 80
# What poll() tells of a socket whose other end is gone; on Linux also where something is left to read.
_HUNG_UP = sum(getattr(select, name, 0) for name in ("POLLHUP", "POLLERR", "POLLRDHUP"))


class Watch:
    """What one psycopg connection knows of the switch; stands in its place as the handler of notifications.

    `pushed` tells whether PostgreSQL pushes the news on it: None as long as nobody asked.
    """

    __slots__ = (
        "began_read_only", "database", "ended", "fenced", "heard", "mark", "opened", "opened_for_writing",
        "others", "outlived", "poll", "pushed", "shared",
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
        # The application listens on it as well: what comes in while it is at rest is the application's to read.
        self.shared = False
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
        else:
            self.shared = True
            if self.others is not None:
                self.others(notification)

    def may_read(self, descriptor: int) -> bool:
        """Return whether what has come in is none of the application's: its loop may wait for the socket.

        Where it is encrypted, only news of the switch can be waited for.
        """
        same = socket.socket(fileno=descriptor)
        try:
            seen = same.recv(_SEEN, socket.MSG_PEEK)
        finally:
            same.detach()
        if not seen:
            return True  # the end
        if seen.startswith(_NOTIFICATION):
            named = seen[_BEFORE_CHANNEL:].startswith(CHANNEL.encode() + b"\0")
            self.shared = self.shared or not named
            return named
        return seen[:1] in _TOLD_UNASKED or (bool(self.pushed) and not self.shared)


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


def note_listening(connection: Any, statement: Any) -> None:
    """Note a LISTEN of the application's: its loop waits for the socket."""
    if "LISTEN" in str(statement).upper() and is_watched(connection):
        watch_of(connection).shared = True


def has_unread(connection: Any) -> bool:
    """Return whether something was left on the socket, for the application to read."""
    poll = watch_of(connection).poll
    return poll is not None and bool(poll())


def _poll(descriptor: int) -> Callable[[], list[tuple[int, int]]]:
    """Return a function that tells whether the socket has something to read, and what, without waiting."""
    if not hasattr(select, "poll"):  # Windows, and what gevent leaves of the module
        return lambda: [(each, 0) for each in select.select([descriptor], [], [], 0)[0]]
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | getattr(select, "POLLRDHUP", 0))
    return partial(poll.poll, 0)


def _ended(connection: Any, watch: Watch) -> bool:
    """Read what is not the application's; return whether the other end is gone.

    Its last words come before the end itself.
    """
    pgconn = connection.pgconn
    try:
        watch.poll = watch.poll or _poll(pgconn.socket)
        while events := watch.poll():
            if not (events[0][1] & _HUNG_UP or watch.may_read(pgconn.socket)):
                break
            pgconn.consume_input()
            _hand_over(pgconn)
    except BlockingIOError:
        return watch.ended  # somebody else has read it
    except (psycopg.Error, OSError):
        return True
    return watch.ended


def _hand_over(pgconn: Any) -> None:
    while (notification := pgconn.notifies()) is not None:
        pgconn.notify_handler(notification)
