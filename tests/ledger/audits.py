"""The auditor: a superuser who looks at the table and the catalogs, and writes nothing but what is planted."""

from __future__ import annotations

from collections.abc import Iterable

from readonly_router.mark import MARKED
from tests.ledger.balance import Rows
from tests.ledger.places import Place
from tests.ledger.writers import INSERT, PREFIX, keys

_TRUTH = f"""SELECT EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
        JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()
        AND r.rolname = %s AND s.setconfig && ARRAY{MARKED}),
    (SELECT receipt IS NOT NULL FROM readonly_router_event WHERE kind = 'on' ORDER BY id DESC LIMIT 1)"""
_AT_WORK = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND application_name = 'read_only' AND pid <> pg_backend_pid()"""

_END = """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid = ANY (%s)
    AND state = 'idle' AND clock_timestamp() - state_change > interval '50 ms'"""


class Auditor:
    """Whoever checks the books of a place; connects anew for each look, so that a restart does not matter."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def rows(self) -> Rows:
        """Return the rows of the ledger as they are now."""
        query = "SELECT path, xmin::text::bigint FROM shop_pageview WHERE starts_with(path, %s)"
        with self._place.superuser() as connection:
            return dict(connection.execute(query, [f"{PREFIX}/"]).fetchall())

    def truth(self) -> tuple[bool, bool]:
        """Return whether the switch is on, and whether a receipt was kept for it."""
        with self._place.superuser() as connection:
            is_on, kept = connection.execute(_TRUTH, [self._place.writer]).fetchone() or (False, None)
        return bool(is_on), bool(is_on and kept)

    def is_quiet(self) -> bool:
        """Return whether no command's session is left: that of a killed one ends a moment after it."""
        with self._place.superuser() as connection:
            return connection.execute(_AT_WORK).fetchone() == (0,)

    def end_idle(self, sessions: Iterable[int]) -> int:
        """End sessions that rest, and return how many they were."""
        with self._place.superuser() as connection:
            return connection.execute(_END, [list(sessions)]).rowcount

    def plant(self, throw: int) -> None:
        """Write a row past the switch, as only a superuser can."""
        with self._place.superuser() as connection:
            connection.execute(INSERT, [*keys("planted.1", throw, 1), throw])
