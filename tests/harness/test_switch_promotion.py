"""The twin's standby is promoted while the switch is on, or with what the switch has not met."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections

from readonly_router import is_read_only
from readonly_router.following import followers
from readonly_router.switch import reports
from readonly_router.switch.receipt import Verdict
from tests import database
from tests.database import Scratch
from tests.harness.pairs import by_way_of, lead, wait_for
from tests.harness.servers import Servers, own_servers
from tests.harness.switches import make_switchable, names, read, throw_on, wait_until_followed, write
from tests.switch.switching import Outcome, default_of, read_only, spelt, value


@dataclass(frozen=True, kw_only=True)
class Made:
    """A pair that can be switched, and its servers."""

    pair: Scratch
    servers: Servers

    def promote(self) -> None:
        """Promote the standby as it is, and have the pair lead there."""
        assert self.servers.ask("SELECT pg_promote()", on_standby=True)
        for alias in (self.pair.alias, self.pair.twin_alias):
            lead(alias, self.servers.standby)

    def on_standby(self, login: str) -> psycopg.Connection[Any]:
        way = by_way_of(login, self.servers.standby)
        return psycopg.connect(way, dbname=self.pair.name, autocommit=True)


@contextmanager
def replicated(programs: Path | None) -> Iterator[Made]:
    """Make such a pair on a primary of its own, with a standby that may be promoted."""
    with own_servers(programs) as servers, database.scratch(servers.primary) as pair:
        make_switchable(pair)
        servers.catch_up()
        yield Made(pair=pair, servers=servers)
        connections.close_all()
    followers.forget()


@pytest.fixture
def made(programs: Path | None, django_db_blocker: Any) -> Iterator[Made]:
    with django_db_blocker.unblock(), replicated(programs) as found:
        yield found


# -- while the switch is on: the new primary is read-only until off there


@dataclass(frozen=True, kw_only=True)
class Story:
    """What was met, in order: the promotion, the writer led to the new primary, and off thrown there."""

    reads: bool
    stays_read_only: bool
    verdict: Verdict
    status: Outcome
    off: Outcome
    follows: bool
    written: bool
    written_on_the_old_one: set[str]
    old_default: str


@pytest.fixture(scope="module")
def story(programs: Path | None, django_db_blocker: Any) -> Story:
    # Values, told once: the pair has gone before another test makes one under its aliases.
    with django_db_blocker.unblock(), replicated(programs) as found:
        lead(found.pair.twin_alias, found.servers.standby)
        write(found.pair, "before")
        return tell(found.pair, found.servers)


def tell(pair: Scratch, servers: Servers) -> Story:
    receipt = throw_on(pair)
    wait_until_followed(pair, on=True)
    servers.promote()
    reads, stays = read(pair), is_read_only(pair.alias)
    lead(pair.alias, servers.standby)
    verdict, status, off = (
        reports.verify(receipt),
        read_only(pair, "status", "--exit-code"),
        read_only(pair, "off"),
    )
    wait_until_followed(pair, on=False)
    follows = not is_read_only(pair.alias)
    write(pair, "after")
    with connections[pair.alias].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM shop_tag WHERE name = 'after'")
        written = cursor.fetchone() == (1,)
    return Story(
        reads=reads,
        stays_read_only=stays,
        verdict=verdict,
        status=status,
        off=off,
        follows=follows,
        written=written,
        written_on_the_old_one=names(pair),
        old_default=default_of(pair),
    )


def test_reads_go_on_and_the_process_stays_read_only(story: Story) -> None:
    assert (story.reads, story.stays_read_only) == (True, True)


def test_status_tells_that_the_new_primary_is_read_only(story: Story) -> None:
    assert story.status.status == 1


def test_status_tells_that_nothing_is_proved_of_sessions_that_were_on_the_standby(story: Story) -> None:
    assert "NOT PROVED: run read_only on again" in story.status.out


def test_verify_on_the_new_primary_notes_the_timeline(story: Story) -> None:
    assert any(note.startswith("timeline 1 -> 2") for note in story.verdict.noted)


def test_verify_on_the_new_primary_is_clean(story: Story) -> None:
    assert story.verdict.moved == ()


def test_off_on_the_new_primary_opens_it(story: Story) -> None:
    assert (story.off.status, story.follows, story.written) == (0, True, True)


def test_the_old_primary_stays_fenced(story: Story) -> None:
    assert (story.written_on_the_old_one, story.old_default) == ({"before"}, "on")


# -- old sessions, and a standby without the receipt


def test_a_session_that_was_on_the_standby_before_the_switch_is_drained_by_on(made: Made) -> None:
    pair = made.pair
    with made.on_standby(pair.url(pair.writer)) as old:
        old.execute("SELECT")
        throw_on(pair)
        made.servers.catch_up()
        made.promote()
        assert read_only(pair, "on").status == 0
        with pytest.raises(psycopg.OperationalError):
            old.execute("INSERT INTO shop_tag (name) VALUES ('late')")


def test_a_standby_that_was_promoted_without_the_receipt_is_not_believed(made: Made) -> None:
    """Who writes there takes the transaction ids that were lost: the next one is the receipt's again."""
    pair, servers = made.pair, made.servers
    with ThreadPoolExecutor(1) as pool, psycopg.connect(pair.url(pair.writer)) as held:
        held.execute("SELECT 1")
        switched = pool.submit(throw_on, pair)
        wait_for(lambda: spelt(pair) != [])
        servers.catch_up()
        with made.on_standby(servers.standby) as standby:
            standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
            standby.execute("SELECT pg_reload_conf()")
            wait_for(lambda: servers.ask("SELECT count(*) FROM pg_stat_wal_receiver", on_standby=True) == 0)
        held.rollback()
        receipt = switched.result()
    made.promote()
    following_id = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    with made.on_standby(servers.standby) as superuser:
        while value(superuser, following_id) < receipt.horizon.next_xid:
            superuser.execute("UPDATE shop_tag SET name = 'late'")
        assert value(superuser, following_id) == receipt.horizon.next_xid
    verdict = reports.verify(receipt)
    assert [line for line in verdict.moved if "does not hold the receipt with its event" in line]
