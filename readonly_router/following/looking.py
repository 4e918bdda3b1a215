"""How a process follows the switch: open connections carry the news, or the catalog is asked where they cannot."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Protocol

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from .. import announcing, conf, mode
from ..errors import ModeError
from ..mark import EVENTS, MARKED, SETTING, WRITABLE_LOCK
from ..mode import Status, Switch
from ..moments import NEVER, Moments
from ..signals import read_only_changed
from . import writer_facts
from .watch import Watch, can_tell, has_ended, watch_of

logger = logging.getLogger("readonly_router")

# How often a process asks the catalog, at most, where nothing is pushed; the age at which a connection listens.
ASK_SECONDS = 1.0
# Threads that meet a change together signal it once.
_learning = threading.Lock()
# Looked up once: this is compared for every query.
_IDLE, _UNKNOWN = TransactionStatus.IDLE, TransactionStatus.UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the catalog says of one writer's switch; `position` is the place in the WAL it was read at (bytes).

    `mark` is how the setting is spelt, another for each `on`; empty when the switch is off. `version` is that of
    its row, which other settings of the role move too. `instance` is where the session leads: the database's OID,
    and when the server started.
    """

    mark: str
    version: str
    pid: int
    standby: bool
    position: int
    instance: writer_facts.Instance

    @property
    def read_only(self) -> bool:
        return bool(self.mark)


# When each writer's switch was last known for sure, and at which position, by alias; when it was last asked for.
_asked: dict[str, float] = {}
_positions: dict[str, int] = {}
_begun = Moments()
# What was answered last, where nothing newer is known.
_answers: dict[str, Answer] = {}
# Whether a pooler answers at a host and port: it tells every client what the pool's first session once reported.
_pooled: dict[tuple[str, int], bool] = {}
# When news last led to a question, by alias: any login may NOTIFY, and as often as it likes.
_heard = Moments()
NEWS_SECONDS = 0.1
# When the twin last said that no switch keeps its writer out, by alias.
_denied = Moments()
DENIED_SECONDS = 0.1


def deny(alias: str) -> None:
    """Note that no switch keeps the writer from logging in."""
    _denied.note(alias)


def was_denied(alias: str) -> bool:
    """Tell whether that was noted a moment ago; a switch may well follow an outage."""
    return _denied.within(alias, DENIED_SECONDS)


def forget() -> None:
    """Know nothing of any switch; for tests, and a process that changes its databases."""
    for alias in list(_asked):
        mode.set_switch(alias, None)
    for known in (_asked, _positions, _answers, _pooled):
        known.clear()
    for moments in (_begun, _denied, _heard):
        moments.clear()
    writer_facts.forget()


def is_known(alias: str) -> bool:
    """Return whether this process has ever known for sure how the switch stands."""
    return alias in _asked


def due(alias: str) -> bool:
    """Tell whether the last question, of whichever thread, is older than a second."""
    return not _begun.within(alias, ASK_SECONDS)


def note_attempt(alias: str) -> None:
    """Note that a question is under way: a server that does not answer is not asked by every query."""
    _begun.note(alias)


def meet_writer(alias: str, connection: Any, *, started: float, ended: bool = False) -> None:
    """Learn what a writer's session tells that was asked for at `started`; `ended` if the one before it ended.

    PostgreSQL reports the setting unasked as a session begins; one that a pool opened earlier tells what was.
    """
    watch = watch_of(connection)
    writer_facts.note_login(alias, connection)
    pooled = _pooled.get(_place(connection))
    if pooled is False and connection.info.parameter_status(SETTING) == "off":
        watch.mark = "" if watch.mark is None else watch.mark
        if started <= watch.opened:
            _answers.pop(alias, None)
            _learn(alias, None, started=started)
            return
        if not ended:
            return
    # A DBA's setting, or the switch's? And is it this session's, or a pooler's? That is asked once in a process.
    if not pooled or ended or due(alias):
        answer = ask(alias, connection)
        watch.fenced = answer.read_only
        writer_facts.note_instance(alias, answer.instance)
    _note_birth(alias, connection)


def _note_birth(alias: str, connection: Any) -> None:
    """Note the mark of a session that begins, where it was asked for a moment ago."""
    watch, known = watch_of(connection), _answers.get(alias)
    if watch.mark is None and known is not None:
        watch.mark = known.mark
        # A pooler's next session may lead elsewhere, and is none of the session's death.
        watch.database = None if _pooled.get(_place(connection)) else known.instance[0]


def _place(connection: Any) -> tuple[str, int]:
    return connection.info.host, connection.info.port


def meet_twin(alias: str, connection: Any) -> None:
    """Ask a twin's new session where nothing newer is known."""
    watch_of(connection)
    if due(alias):
        ask(alias, connection)
    _note_birth(alias, connection)


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
    except psycopg.Error as error:
        _tell_unanswered(alias, error)
        return False
    # It may have heard just now that the switch which made it read-only is off.
    return not watch.fenced or mode.is_read_only(alias)


class Lead(Protocol):
    """Where an alias leads, and when that connection was last looked at (monotonic seconds)."""

    wrapper: Any
    looked: float


def is_quiet(alias: str, lead: Lead) -> bool:
    """Return, at the least cost, whether a look would find nothing and ask for nothing; note that one was made."""
    connection, now = lead.wrapper.connection, time.monotonic()
    if connection is None or not hasattr(connection, "pgconn"):
        return False
    pgconn = connection.pgconn
    watch, status = pgconn.notify_handler, pgconn.transaction_status
    if type(watch) is not Watch or watch.poll is None or watch.heard or watch.ended or watch.fenced:
        return False
    if not watch.pushed and (now - watch.opened >= ASK_SECONDS if watch.pushed is None else due(alias)):
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


def _ask_if_needed(alias: str, connection: Any, watch: Watch) -> None:
    if watch.heard:
        _ask_for_news(alias, connection, watch)
    elif watch.pushed is None and time.monotonic() - watch.opened >= ASK_SECONDS:
        _listen(alias, connection, watch)
    elif not watch.pushed and due(alias):
        ask(alias, connection)


def _ask_for_news(alias: str, connection: Any, watch: Watch) -> None:
    """Ask at once, but not again within an interval: more news meanwhile is asked for when it is over."""
    if not _heard.within(alias, NEWS_SECONDS):
        _heard.note(alias)
        watch.heard = False
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
    m.mark, m.version, (SELECT d.oid::pg_catalog.int8 FROM pg_catalog.pg_database d
        WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()),
    (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())
        OPERATOR(pg_catalog.*) 1000000::pg_catalog.float8)::pg_catalog.int8
    FROM (SELECT pg_catalog.split_part(pg_catalog.max(c), '=', 2) AS mark,
                 pg_catalog.max(s.xmin::pg_catalog.text) AS version
        FROM pg_catalog.pg_db_role_setting s
        JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) s.setdatabase
        JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) s.setrole,
        pg_catalog.unnest(s.setconfig) c
        WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
          AND (r.rolname OPERATOR(pg_catalog.=) %(writer)s::pg_catalog.text
               OR %(writer)s::pg_catalog.text OPERATOR(pg_catalog.=) ''
                  AND r.rolname OPERATOR(pg_catalog.<>) %(twin)s::pg_catalog.text)
          AND c OPERATOR(pg_catalog.=) ANY (%(marked)s::pg_catalog.text[])) m"""
# Where Django finds the table of events, if it is the site's: where PUBLIC may create in a schema of the site's
# path, anybody can make one of that name, with code that would run as whoever reads it.
_TABLE = """SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    JOIN pg_catalog.pg_database d ON d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
    JOIN pg_catalog.pg_roles o ON o.oid OPERATOR(pg_catalog.=) c.relowner
    LEFT JOIN pg_catalog.pg_roles w ON w.rolname OPERATOR(pg_catalog.=) %(writer)s::pg_catalog.text
    WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(%(table)s::pg_catalog.text)::pg_catalog.oid
      AND c.relkind OPERATOR(pg_catalog.=) 'r'::pg_catalog."char"
      AND (o.rolsuper OR c.relowner OPERATOR(pg_catalog.=) ANY (ARRAY[w.oid, d.datdba, n.nspowner])
           OR (NOT w.rolsuper AND pg_catalog.pg_has_role(w.oid, c.relowner, 'MEMBER')))"""
# By its role: another site of the same database may use the same alias. What was said last of a switch counts.
_EVENT = """WITH own AS (SELECT id, at, kind::pg_catalog.text AS kind, reason, eta, by FROM {}
        WHERE kind::pg_catalog.text OPERATOR(pg_catalog.=) ANY (ARRAY['on', 'amended']::pg_catalog.text[])
          AND (roles OPERATOR(pg_catalog.@>) pg_catalog.to_jsonb(ARRAY[%(writer)s::pg_catalog.text])
               OR (%(writer)s::pg_catalog.text OPERATOR(pg_catalog.=) ''
                   AND alias OPERATOR(pg_catalog.=) %(alias)s::pg_catalog.text)))
    SELECT o.at, s.reason, s.eta, o.by
    FROM (SELECT id, at, by FROM own WHERE kind OPERATOR(pg_catalog.=) 'on' ORDER BY id DESC LIMIT 1) o,
         LATERAL (SELECT reason, eta FROM own WHERE id OPERATOR(pg_catalog.>=) o.id ORDER BY id DESC LIMIT 1) s"""


def ask(alias: str, connection: Any) -> Answer:
    """Ask the catalog for the writer's switch, on either login of the pair, and note the answer."""
    started = _begun.note(alias)
    answer = answer_of(alias, connection)
    _pooled[_place(connection)] = answer.pid != connection.info.backend_pid
    behind = answer.standby and answer.position < _positions.get(alias, 0)
    if answer.standby and not behind and not answer.read_only and mode.switch(alias) is not None:
        # It may have replayed further between looking and telling how far; the next answer is of there or later.
        answer = replace(answer_of(alias, connection), position=answer.position)
    switch = _switch(alias, answer, connection) if answer.read_only and not behind else None
    _end_own_transaction(connection)
    if behind:
        _asked[alias] = started  # it has not replayed yet what is known
    elif started >= _asked.get(alias, NEVER):
        _positions[alias], _answers[alias] = answer.position, answer
        _learn(alias, switch, started=started)
    return answer


def answer_of(alias: str, connection: Any) -> Answer:
    """Ask the catalog for the writer's switch, and note nothing."""
    # Where the writer's name is not known, any role's mark counts, but not what the twin gave itself.
    twin = writer_facts.named_login(conf.twins()[alias])
    said = {"writer": writer_facts.login(alias), "twin": twin, "marked": MARKED}
    row = connection.execute(_ASK, said, prepare=False).fetchone()
    pid, standby, position, mark, version, oid, started = row
    return Answer(
        pid=pid,
        standby=standby,
        position=int(position or 0),
        mark=mark or "",
        version=version or "",
        instance=(oid, started),
    )


def _switch(alias: str, answer: Answer, connection: Any) -> Switch:
    """Return what was known of this same switch, or else what the operator said."""
    known = mode.switch(alias)
    before = _answers.get(alias)
    if known is not None and known.since is not None and before and before.version == answer.version:
        return known
    return _said(alias, connection)


def _said(alias: str, connection: Any) -> Switch:
    """Return what the operator said; a table that is not there, or not readable, tells nothing."""
    try:
        said = {"writer": writer_facts.login(alias), "alias": alias, "table": EVENTS}
        row = connection.execute(_TABLE, said, prepare=False).fetchone()
        if row is not None:
            query = sql.SQL(_EVENT).format(sql.Identifier(*row))
            row = connection.execute(query, said, prepare=False).fetchone()
    except psycopg.Error as error:
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
    announcing.say_switch(status)
    read_only_changed.send_robust(sender=Status, alias=alias, read_only=status.read_only, status=status)


def _note(alias: str, switch: Switch | None, started: float) -> bool:
    """Note an answer, unless a newer one is known; tell whether it is a change."""
    if started < _asked.get(alias, NEVER):
        return False
    _asked[alias] = started
    _begun.note(alias, started)
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


_OPEN = """SELECT (SELECT pg_catalog.set_config(%(setting)s::pg_catalog.text, 'off', false) FROM
    (SELECT pg_catalog.pg_try_advisory_lock_shared(
        pg_catalog.hashtextextended(%(lock)s::pg_catalog.text, 0::pg_catalog.int8)) AS got) l
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
