"""How a process follows the switch: open connections carry the news, or the catalog is asked where they cannot."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import connections

from . import conf, mode
from .errors import ModeError
from .mode import Status, Switch
from .signals import read_only_changed
from .switch.mark import MARKED, SETTING, WRITABLE_LOCK
from .watch import Watch, can_tell, has_ended, load_driver, watch_of

logger = logging.getLogger("readonly_router")

# How often a process asks the catalog, at most, where nothing is pushed; the age at which a connection listens.
ASK_SECONDS = 1.0
# Threads that meet a change together signal it once.
_learning = threading.Lock()
# psycopg's and libpq's TransactionStatus.
_IDLE, _UNKNOWN = 0, 4


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the catalog says of one writer's switch; `position` is the place in the WAL it was read at (bytes).

    `mark` is the setting's version, another for each `on`; empty when the switch is off.
    """

    mark: str
    pid: int
    standby: bool
    position: int

    @property
    def read_only(self) -> bool:
        return bool(self.mark)


# When each writer's switch was last known for sure, and at which position, by alias; when it was last asked for.
_asked: dict[str, float] = {}
_positions: dict[str, int] = {}
_begun: dict[str, float] = {}
_marks: dict[str, str] = {}
# Whether a pooler answers at a host and port: it tells every client what the pool's first session once reported.
_pooled: dict[tuple[str, int], bool] = {}
# When the twin last said that no switch keeps its writer out, by alias.
_denied: dict[str, float] = {}
DENIED_SECONDS = 0.1


def deny(alias: str) -> None:
    """Note that no switch keeps the writer from logging in."""
    _denied[alias] = time.monotonic()


def was_denied(alias: str) -> bool:
    """Tell whether that was noted a moment ago; a switch may well follow an outage."""
    return time.monotonic() - _denied.get(alias, -DENIED_SECONDS) < DENIED_SECONDS


def forget() -> None:
    """Know nothing of any switch; for tests, and a process that changes its databases."""
    for alias in list(_asked):
        mode.set_switch(alias, None)
    for known in (_asked, _positions, _begun, _marks, _pooled, _denied):
        known.clear()


def due(alias: str) -> bool:
    """Tell whether the last question, of whichever thread, is older than a second."""
    return time.monotonic() - _begun.get(alias, -ASK_SECONDS) >= ASK_SECONDS


def meet_writer(alias: str, connection: Any, *, started: float, ended: bool = False) -> None:
    """Learn what a writer's session tells that was asked for at `started`; `ended` if the one before it ended.

    PostgreSQL reports the setting unasked as a session begins; one that a pool opened earlier tells what was.
    """
    watch = watch_of(connection)
    pooled = _pooled.get(_place(connection))
    if pooled is False and connection.info.parameter_status(SETTING) == "off":
        if started <= watch.opened:
            _learn(alias, None, started=started)
            return
        if not ended:
            return
    # A DBA's setting, or the switch's? And is it this session's, or a pooler's? That is asked once in a process.
    if not pooled or ended or due(alias):
        watch.fenced = ask(alias, connection).read_only


def _place(connection: Any) -> tuple[str, int]:
    return connection.info.host, connection.info.port


def meet_twin(alias: str, connection: Any) -> None:
    """Ask a twin's new session where nothing newer is known."""
    watch_of(connection)
    if due(alias):
        ask(alias, connection)


def look(alias: str, connection: Any) -> bool:
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
    finally:
        connection.lock.release()
    if ended or (watch.fenced and not mode.is_read_only(alias)):
        return False
    try:
        _ask_if_needed(alias, connection, watch)
    except load_driver().Error as error:
        _tell_unanswered(alias, error)
        return False
    return True


def _ask_if_needed(alias: str, connection: Any, watch: Watch) -> None:
    if watch.heard:
        watch.heard = False
        ask(alias, connection)
    elif watch.pushed is None and time.monotonic() - watch.opened >= ASK_SECONDS:
        _listen(alias, connection, watch)
    elif not watch.pushed and due(alias):
        ask(alias, connection)


def _listen(alias: str, connection: Any, watch: Watch) -> None:
    """Have the news pushed where that works: not on a standby, not through a pooler, not within transactions."""
    if _pooled.get(_place(connection)) or connection.info.parameter_status("in_hot_standby") == "on":
        watch.pushed = False
        return
    answer = ask(alias, connection)
    watch.pushed = conf.listen() and answer.pid == connection.info.backend_pid and connection.autocommit
    if watch.pushed:
        connection.execute("LISTEN readonly_router", prepare=False)
        # Only now: a switch between the first answer and LISTEN is told by neither.
        ask(alias, connection)


# Names and operators are spelt whole: the site's search_path may hold others.
_ASK = """SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery(),
    (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
          ELSE pg_catalog.pg_current_wal_insert_lsn() END) OPERATOR(pg_catalog.-) '0/0'::pg_catalog.pg_lsn,
    (SELECT pg_catalog.max(s.xmin::pg_catalog.text) FROM pg_catalog.pg_db_role_setting s
        JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) s.setdatabase
        JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) s.setrole
        WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
          AND (r.rolname::text OPERATOR(pg_catalog.=) %(writer)s OR %(writer)s OPERATOR(pg_catalog.=) '')
          AND %(marked)s OPERATOR(pg_catalog.=) ANY (s.setconfig))"""
# By its role: another site of the same database may use the same alias.
_EVENT = """SELECT at, reason, eta, by FROM readonly_router_event WHERE kind = 'on'
    AND (roles OPERATOR(pg_catalog.@>) pg_catalog.to_jsonb(ARRAY[%(writer)s::text])
         OR (%(writer)s::text OPERATOR(pg_catalog.=) '' AND alias OPERATOR(pg_catalog.=) %(alias)s::text))
    ORDER BY id DESC LIMIT 1"""


def ask(alias: str, connection: Any) -> Answer:
    """Ask the catalog for the writer's switch, on either login of the pair, and note the answer."""
    started = _begun[alias] = time.monotonic()
    answer = _answer(alias, connection)
    _pooled[_place(connection)] = answer.pid != connection.info.backend_pid
    behind = answer.standby and answer.position < _positions.get(alias, 0)
    if answer.standby and not behind and not answer.read_only and mode.switch(alias) is not None:
        # It may have replayed further between looking and telling how far; the next answer is of there or later.
        answer = replace(_answer(alias, connection), position=answer.position)
    switch = _switch(alias, answer, connection) if answer.read_only and not behind else None
    _end_own_transaction(connection)
    if behind:
        _asked[alias] = started  # it has not replayed yet what is known
    elif started >= _asked.get(alias, 0.0):
        _positions[alias], _marks[alias] = answer.position, answer.mark
        _learn(alias, switch, started=started)
    return answer


def _answer(alias: str, connection: Any) -> Answer:
    row = connection.execute(_ASK, {"writer": writer_login(alias), "marked": MARKED}, prepare=False).fetchone()
    return Answer(pid=row[0], standby=row[1], position=int(row[2] or 0), mark=row[3] or "")


def _switch(alias: str, answer: Answer, connection: Any) -> Switch:
    """Return what was known of this same switch, or else what the operator said."""
    known = mode.switch(alias)
    if known is not None and known.since is not None and _marks.get(alias) == answer.mark:
        return known
    return _said(alias, connection)


def _said(alias: str, connection: Any) -> Switch:
    """Return what the operator said; a table that is not there, or not readable, tells nothing."""
    try:
        said = {"writer": writer_login(alias), "alias": alias}
        row = connection.execute(_EVENT, said, prepare=False).fetchone()
    except load_driver().Error as error:
        if connection.broken:
            raise  # the session ended meanwhile: that is not for the one who asked to overlook
        logger.info("No event of the switch of '%s' can be read: %s", alias, str(error).partition("\n")[0])
        row = None
    return Switch() if row is None else Switch(since=row[0], reason=row[1], eta=row[2], by=row[3])


def _end_own_transaction(connection: Any) -> None:
    if not connection.autocommit:
        connection.rollback()


def _learn(alias: str, switch: Switch | None, *, started: float) -> None:
    """Note what an answer says that was asked for at `started`; a change is logged and signalled."""
    with _learning:
        changed = _note(alias, switch, started)
    if not changed:
        return
    logger.info("'%s' is %s.", alias, "writable again" if switch is None else "switched read-only")
    known = switch or Switch()
    status = Status(
        read_only=switch is not None,
        source="switch",
        alias=alias,
        since=known.since,
        reason=known.reason,
        eta=known.eta,
        by=known.by,
    )
    read_only_changed.send_robust(sender=Status, alias=alias, read_only=status.read_only, status=status)


def _note(alias: str, switch: Switch | None, started: float) -> bool:
    """Note an answer, unless a newer one is known; tell whether it is a change."""
    if started < _asked.get(alias, 0.0):
        return False
    _asked[alias] = started
    _begun[alias] = max(started, _begun.get(alias, started))
    before = mode.switch(alias)
    mode.set_switch(alias, switch)
    return (before is None) != (switch is None)


def _tell_unanswered(alias: str, error: Exception) -> None:
    state = "read-only" if mode.switch(alias) else "writable"
    logger.warning(
        "The switch of '%s' could not be asked for (%s); it is taken to be %s as before.",
        alias,
        str(error).partition("\n")[0],
        state,
    )


_OPEN = """SELECT (SELECT pg_catalog.set_config(%(setting)s, 'off', false) FROM
    (SELECT pg_catalog.pg_try_advisory_lock_shared(pg_catalog.hashtextextended(%(lock)s, 0)) AS got) l
    WHERE l.got)"""


def open_for_writing(alias: str, connection: Any) -> None:
    """Let a writer's session write although the switch is on: for `writable()`.

    Raises ModeError while the switch is being thrown. Through a pooler the session belongs to others too: it stays
    as it is, and PostgreSQL refuses the writes.
    """
    watch = watch_of(connection)
    answer = ask(alias, connection)
    watch.fenced = answer.read_only
    if not answer.read_only or answer.pid != connection.info.backend_pid:
        return
    row = connection.execute(_OPEN, {"setting": SETTING, "lock": WRITABLE_LOCK}, prepare=False).fetchone()
    # Not rolled back, which would take the setting back.
    if not connection.autocommit:
        connection.commit()
    if row[0] is None:
        raise ModeError(f"'{alias}' is being switched read-only at this moment; try writable() again afterwards.")
    watch.fenced, watch.opened_for_writing = False, True


def writer_login(alias: str) -> str:
    """Return the writer's login name as DATABASES gives it; empty where libpq finds it elsewhere."""
    entry: Mapping[str, Any] = connections.settings[alias]
    return str(entry["USER"] or entry["OPTIONS"].get("user") or "")
