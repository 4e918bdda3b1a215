"""Bounds the commits of a command where they wait for a synchronous standby that may not be there.

No timeout of PostgreSQL's ends that wait. Cancelled, it ends with a warning: the transaction is committed here,
and maybe not there. https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import psycopg

from ..errors import SwitchError
from ..logins import Session
from ..mark import APPLICATION
from .spec import Target, Tell
from .targets import session

LOOK_SECONDS = 0.1
TELL_SECONDS = 1.0
# The thread may be waiting for a server that does not answer any more.
JOIN_SECONDS = 5.0

_STANDBYS = "SELECT current_setting('synchronous_standby_names')"
_OURS = "FROM pg_stat_activity WHERE pid = ANY (%s) AND application_name = %s AND wait_event = 'SyncRep'"
_WAITING = f"SELECT pid {_OURS}"
_CANCEL = f"SELECT pg_cancel_backend(pid) {_OURS}"


class Waits:
    """What the commits of one command have waited for; `given_up` says what for where they were cancelled."""

    def __init__(self, names: str, seconds: float, tell: Tell) -> None:
        self.given_up = ""
        # The process that watches: of the command too.
        self.pid = 0
        self._standby = f"a synchronous standby (synchronous_standby_names = '{names}')"
        self._seconds, self._tell = seconds, tell
        self._since: float | None = None
        self._is_told = False

    def look(self, watching: Session, own: Iterable[int], now: float) -> None:
        """Look once whether a commit waits, and end its waiting where the time for that is over."""
        parameters = [list(own), APPLICATION]
        if watching.execute(_WAITING, parameters).fetchone() is None:
            self._since = None
            return
        self._since = now if self._since is None else self._since
        if not self._is_told and now - self._since >= TELL_SECONDS:
            self._is_told = True
            self._tell(f"waiting: committed here, but {self._standby} has not confirmed it yet")
        # Where none confirmed in that time, the commits of an undo need not wait as long again.
        if not self.given_up and now - self._since >= self._seconds:
            self.given_up = f"{self._standby} did not confirm it within {self._seconds:g} s"
            self._tell(f"committed here, but {self.given_up}")
        if self.given_up:
            watching.execute(_CANCEL, parameters)


@contextmanager
def bounded(operator: Session, target: Target, own: set[int], *, seconds: float, tell: Tell) -> Iterator[Waits]:
    """Watch the commits of `own`, processes that may become more; nothing is opened where no standby is named."""
    names = (operator.execute(_STANDBYS).fetchone() or ("",))[0]
    waits = Waits(names, seconds, tell)
    if not names:
        yield waits
        return
    over = threading.Event()
    with ExitStack() as stack:
        try:
            watching = stack.enter_context(session(target))
        except SwitchError as error:
            tell(f"note: commits may wait for a synchronous standby ('{names}'), for as long as it takes: {error}")
            yield waits
            return
        waits.pid = watching.info.backend_pid
        thread = threading.Thread(
            target=_watch, args=(waits, watching, own, over), name="readonly_router.waits", daemon=True
        )
        thread.start()
        try:
            yield waits
        finally:
            over.set()
            thread.join(JOIN_SECONDS)


def _watch(waits: Waits, watching: Session, own: set[int], over: threading.Event) -> None:
    # Where this session is lost the commits wait as they would without it.
    with suppress(psycopg.Error):
        while not over.wait(LOOK_SECONDS):
            waits.look(watching, own, time.monotonic())


def refuse_unconfirmed(waits: Waits, alias: str) -> None:
    """Raise SwitchError where a commit was not confirmed: a failover would lose what was promised."""
    if waits.given_up:
        raise SwitchError(
            f"'{alias}' is switched on here, but {waits.given_up}, and a failover to it would be writable. Start "
            "the standby, or take it out of synchronous_standby_names, and try again. The switch was undone."
        )
