"""The owner of a database puts a view in a relation's place while a command waits for that relation."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.harness.pairs import wait_for
from tests.security import commands, traps
from tests.security.conftest import Site
from tests.security.plants import EVENTS

SWAPS = {
    "table": (
        f"ALTER TABLE {EVENTS} RENAME TO moved",
        f"CREATE VIEW {EVENTS} AS SELECT * FROM moved WHERE trap.sprung()",
        f"GRANT SELECT ON {EVENTS} TO PUBLIC",
    ),
    "sequence": (
        "ALTER SEQUENCE note_id_seq RENAME TO moved_seq",
        "CREATE VIEW note_id_seq AS SELECT 1::bigint AS last_value, trap.sprung() AS is_called",
        "GRANT SELECT ON note_id_seq TO PUBLIC",
    ),
}
_WAITING = """SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
    AND usename = ANY (%s)"""


@contextmanager
def swapped_while_awaited(site: Site, relation: str) -> Iterator[Future[None]]:
    """Hold the swap in an open transaction until somebody waits for it; then commit."""
    scratch = site.scratch
    everybody = [scratch.writer, scratch.twin, *site.admins]
    with (
        scratch.login(scratch.writer, options="-c search_path=public") as owner,
        traps.careful(scratch) as watcher,
    ):
        owner.execute("BEGIN READ WRITE")
        for statement in SWAPS[relation]:
            owner.execute(statement.encode())

        def commit() -> None:
            wait_for(lambda: bool(watcher.execute(_WAITING, [everybody]).fetchall()))
            owner.execute("COMMIT")

        with ThreadPoolExecutor(1) as threads:
            yield threads.submit(commit)


@pytest.mark.parametrize("admin", ["superuser", "dba"])
@pytest.mark.parametrize(
    ("before", "words", "relation"),
    [
        ((), ("status",), "table"),
        ((), ("on", "--grace", "0s"), "table"),
        ((), ("history",), "table"),
        (("on", "--grace", "0s"), ("off",), "table"),
        (("on", "--grace", "0s"), ("verify",), "table"),
        (("on", "--grace", "0s"), ("verify",), "sequence"),
    ],
)
def test_a_view_that_takes_the_place_meanwhile_is_not_read_as_the_admin(
    planted: Site, before: tuple[str, ...], words: tuple[str, ...], relation: str, admin: str
) -> None:
    if before:
        assert commands.run(planted.scratch, ("read_only", *before), planted.url(admin)).status == 0
    with swapped_while_awaited(planted, relation) as committed:
        ran = commands.run(planted.scratch, ("read_only", *words), planted.url(admin))
        committed.result()
    assert traps.sprung_as(planted.scratch).isdisjoint(planted.admins), ran.printed
    assert not traps.is_superuser(planted.scratch, planted.scratch.writer)
