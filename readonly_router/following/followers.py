"""How a process follows the switch: open connections carry the news, or the catalog is asked where they cannot."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import psycopg
from django.db import connections
from psycopg.pq import TransactionStatus

from .. import announcing, conf, libpq, mode
from ..durations import NEVER
from ..errors import ModeError, message
from ..mark import SETTING
from ..mode import Status, Switch
from ..signals import read_only_changed
from . import answers
from .answers import Answer, Instance
from .watch import Watch, can_tell, has_ended, has_unread, plain_cursor, watch_of

logger = logging.getLogger("readonly_router")

# How often a process asks the catalog, at most, where nothing is pushed; the age at which a connection listens.
ASK_SECONDS = 1.0
# How often a thread looks for news, at most; a look costs a few microseconds.
LOOK_SECONDS = 0.001
# How often news leads to a question, at most: any login may NOTIFY, and as often as it likes.
NEWS_SECONDS = 0.1
# How long the twin's word holds that no switch keeps its writer out: one may well follow an outage.
DENIED_SECONDS = 0.1
# How often it is asked for although it is pushed, while it is on: DISCARD ALL ends what LISTEN began.
RENEW_SECONDS = 10.0
# Looked up once: this is compared for every query.
_IDLE, _UNKNOWN = TransactionStatus.IDLE, TransactionStatus.UNKNOWN
# Whether a pooler answers at a host and port: it tells every client what the pool's first session once reported.
_pooled: dict[tuple[str, int], bool] = {}


class Lead(Protocol):
    """Where an alias leads, and when that connection was last looked at (monotonic seconds)."""

    wrapper: Any
    looked: float


class Follower:
    """What a process knows of the switch of one writer's alias, and when it last asked; its threads share it.

    `clock` tells seconds, since whenever it likes. The rest is what lies at least between questions, or looks.
    """

    def __init__(
        self, alias: str, *, clock: Callable[[], float] = time.monotonic, ask_seconds: float = ASK_SECONDS
    ) -> None:
        self.alias = alias
        self.clock = clock
        self.ask_seconds = ask_seconds
        self.look_seconds, self.news_seconds, self.renew_seconds = LOOK_SECONDS, NEWS_SECONDS, RENEW_SECONDS
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Know nothing of the switch, nor of the writer."""
        # When it was last known for sure, and asked for; when news led to a question, and the twin denied it.
        self._known = self._begun = self._heard = self._denied = NEVER
        # What was answered last, where nothing newer is known; the place in the WAL of the last answer.
        self._answer: Answer | None = None
        self._position = 0
        # The writer's name as its sessions have it, and where they led when last asked.
        self._login = ""
        self.instance: Instance | None = None

    @property
    def is_known(self) -> bool:
        """Whether this process has ever known for sure how the switch stands."""
        return self._known > NEVER

    @property
    def is_due(self) -> bool:
        """Whether the last question, of whichever thread, is older than a second."""
        return self.clock() - self._begun >= self.ask_seconds

    @property
    def was_denied(self) -> bool:
        """Whether the twin said a moment ago that no switch keeps the writer from logging in."""
        return self.clock() - self._denied < DENIED_SECONDS

    def deny(self) -> None:
        """Note that no switch keeps the writer from logging in."""
        self._denied = self.clock()

    def note_attempt(self) -> float:
        """Note that a question is under way: a server that does not answer is not asked by every query."""
        self._begun = max(self._begun, now := self.clock())
        return now

    @property
    def login(self) -> str:
        """The writer's login name: as DATABASES gives it, as its sessions have it, or as libpq finds it.

        Empty where that is not known: a service that no file has, and no session of the writer was opened yet.
        """
        return answers.named_login(self.alias) or self._login or libpq.taken(self._options, "user")

    @property
    def _options(self) -> dict[str, Any]:
        return dict(connections.settings[self.alias]["OPTIONS"])

    # -- new sessions

    def meet_writer(self, connection: Any, *, started: float, ended: bool = False) -> None:
        """Learn what a writer's session tells that was asked for at `started`; `ended` if the one before it ended.

        PostgreSQL reports the setting unasked as a session begins; one that a pool opened earlier tells what was.
        """
        watch = watch_of(connection)
        self._login = connection.info.user
        pooled = _pooled.get(_place(connection))
        if pooled is False and connection.info.parameter_status(SETTING) == "off":
            watch.mark = "" if watch.mark is None else watch.mark
            if started <= watch.opened:
                self._learn(None, None, started)
                return
            if not ended:
                return
        # A DBA's setting, or the switch's? And is it this session's, or a pooler's? Asked once in a process.
        if not pooled or ended or self.is_due:
            answer = self.ask(connection)
            watch.fenced = answer.read_only
            self.instance = answer.instance
        self._note_birth(connection)

    def meet_twin(self, connection: Any) -> None:
        """Ask a twin's new session where nothing newer is known."""
        watch_of(connection)
        if self.is_due:
            self.ask(connection)
        self._note_birth(connection)

    def _note_birth(self, connection: Any) -> None:
        """Note the mark of a session that begins, where it was asked for a moment ago."""
        watch, known = watch_of(connection), self._answer
        if watch.mark is None and known is not None:
            watch.mark = known.mark
            # A pooler's next session may lead elsewhere, and is none of the session's death.
            watch.database = None if _pooled.get(_place(connection)) else known.instance[0]

    def open_for_writing(self, connection: Any) -> None:
        """Let a writer's session write although the switch is on: for `writable()`.

        Raises ModeError while the switch is being thrown. Through a pooler the session belongs to others too: it
        stays as it is, and PostgreSQL refuses the writes.
        """
        watch = watch_of(connection)
        answer = self.ask(connection)
        watch.fenced = answer.read_only
        if not answer.read_only or answer.pid != connection.info.backend_pid:
            return
        if not answers.is_opened(connection):
            raise ModeError(
                f"'{self.alias}' is being switched read-only at this moment; try writable() again afterwards."
            )
        watch.fenced, watch.opened_for_writing = False, True

    # -- the news

    def look(self, connection: Any) -> bool:
        """Look for news on an idle connection; False when the connection has ended.

        Sends nothing but, once in a connection's life, LISTEN; where that cannot work, one question a second.
        """
        if not can_tell(connection):
            return True
        watch = watch_of(connection)
        status = connection.pgconn.transaction_status
        if status != _IDLE:
            return bool(status != _UNKNOWN)
        # Another thread that shares the connection is at work on it.
        if not connection.lock.acquire(blocking=False):
            return True
        try:
            ended = has_ended(connection)
            unread = not (ended or watch.heard or mode.switch(self.alias)) and has_unread(connection)
        finally:
            connection.lock.release()
        if unread:
            return True  # a question would read it
        if ended or (watch.fenced and not mode.is_read_only(self.alias)):
            return False
        try:
            self._ask_if_needed(connection, watch)
        except psycopg.Error as error:
            self._tell_unanswered(error)
            if connection.closed:
                return False
            if not connection.autocommit:
                connection.rollback()  # what the question began
        # It may have heard just now that the switch which made it read-only is off.
        return not watch.fenced or mode.is_read_only(self.alias)

    def is_quiet(self, lead: Lead) -> bool:
        """Return, at the least cost, whether a look would find and ask nothing; note that one was made."""
        connection, now = lead.wrapper.connection, self.clock()
        if connection is None or not hasattr(connection, "pgconn"):
            return False
        pgconn = connection.pgconn
        watch, status = pgconn.notify_handler, pgconn.transaction_status
        if type(watch) is not Watch or watch.poll is None or watch.heard or watch.ended or watch.fenced:
            return False
        since = watch.opened if watch.pushed is None else self._begun
        if now - since >= (self.renew_seconds if watch.pushed else self.ask_seconds) and self._may_ask(watch):
            return False
        # Another thread that shares the connection may be at work on it: poll() raises where two ask at once.
        if status == _UNKNOWN or not connection.lock.acquire(blocking=False):
            return False
        try:
            if status == _IDLE and watch.poll():
                return False
        finally:
            connection.lock.release()
        lead.looked = now
        return True

    def _ask_if_needed(self, connection: Any, watch: Watch) -> None:
        if watch.heard:
            # At once, but not again within an interval: more news meanwhile is asked for when it is over.
            if self.clock() - self._heard >= self.news_seconds:
                self._heard = self.clock()
                watch.heard = False
                self.ask(connection)
        elif watch.pushed is None and self.clock() - watch.opened >= self.ask_seconds:
            self._listen(connection, watch)
        elif self._may_ask(watch) and self.clock() - self._begun >= (
            self.renew_seconds if watch.pushed else self.ask_seconds
        ):
            self.ask(connection)

    def _may_ask(self, watch: Watch) -> bool:
        """Return whether the switch is asked for by age.

        In normal mode not where it is pushed, nor where the application may wait for what comes in.
        """
        return mode.switch(self.alias) is not None or not (watch.pushed or watch.shared)

    def _listen(self, connection: Any, watch: Watch) -> None:
        """Have the news pushed where that works: not on a standby, by a pooler, or within transactions."""
        if _pooled.get(_place(connection)) or connection.info.parameter_status("in_hot_standby") == "on":
            watch.pushed = False
            return
        answer = self.ask(connection)
        watch.shared = watch.shared or answers.is_listened_on(connection)
        # Its loop would read our news for its own.
        watch.pushed = (
            not watch.shared
            and conf.listen()
            and answer.pid == connection.info.backend_pid
            and connection.autocommit
        )
        if watch.pushed:
            plain_cursor(connection).execute("LISTEN readonly_router", prepare=False)
            # Only now: a switch between the first answer and LISTEN is told by neither.
            self.ask(connection)

    def _tell_unanswered(self, error: Exception) -> None:
        logger.warning(
            "The switch of '%s' could not be asked for (%s); it is taken to be %s as before.",
            self.alias,
            message(error),
            "read-only" if mode.switch(self.alias) else "writable",
        )

    # -- questions

    def answer_of(self, connection: Any) -> Answer:
        """Ask the catalog, on either login of the pair, and note nothing."""
        return answers.answer_of(self.alias, self.login, connection)

    def ask(self, connection: Any) -> Answer:
        """Ask the catalog, on either login of the pair, and note the answer."""
        # A transaction that is open already is not ours to end.
        own = not connection.autocommit and connection.pgconn.transaction_status == _IDLE
        started = self.note_attempt()
        answer = self.answer_of(connection)
        _pooled[_place(connection)] = answer.pid != connection.info.backend_pid
        behind = answer.standby and answer.position < self._position
        if answer.standby and not behind and not answer.read_only and mode.switch(self.alias) is not None:
            # It may have replayed further between looking and telling how far; the next is of there or later.
            answer = replace(self.answer_of(connection), position=answer.position)
        switch = self._switch(answer, connection) if answer.read_only and not behind else None
        if own:
            connection.rollback()
        if behind:
            self._known = started  # it has not replayed yet what is known
        else:
            self._learn(answer, switch, started)
        return answer

    def _switch(self, answer: Answer, connection: Any) -> Switch:
        """Return what was known of this same switch, or else what the operator said."""
        known, before = mode.switch(self.alias), self._answer
        if known is not None and known.since is not None and before and before.version == answer.version:
            return known
        return answers.said_of(self.alias, self.login, connection)

    def _learn(self, answer: Answer | None, switch: Switch | None, started: float) -> None:
        """Note what was answered to a question of `started`, or without one; a change is logged and signalled."""
        with self._lock:
            if started < self._known:
                return  # a newer one is known
            self._known, self._answer = started, answer
            self._begun = max(self._begun, started)
            if answer is not None:
                self._position = answer.position
            before = mode.switch(self.alias)
            mode.set_switch(self.alias, switch)
        if (before is None) != (switch is None):
            self._tell(switch)

    def _tell(self, switch: Switch | None) -> None:
        known = switch or Switch()
        status = Status(
            read_only=switch is not None,
            source="switch",
            alias=self.alias,
            since=known.since,
            reason=known.reason,
            eta=known.eta,
            by=known.by,
        )
        announcing.say_switch(status)
        read_only_changed.send_robust(sender=Status, alias=self.alias, read_only=status.read_only, status=status)


def _place(connection: Any) -> tuple[str, int]:
    return connection.info.host, connection.info.port


_followers: dict[str, Follower] = {}


def of(alias: str) -> Follower:
    """Return the follower of a writer's alias."""
    # Of two threads that come first together, one makes what both get.
    return _followers.get(alias) or _followers.setdefault(alias, Follower(alias))


def forget() -> None:
    """Know nothing of any switch; for tests, and a process that changes its databases."""
    _pooled.clear()
    for follower in _followers.values():
        if follower.is_known:
            mode.set_switch(follower.alias, None)
        follower.forget()
