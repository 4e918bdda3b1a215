"""The twin's standby is promoted while the switch is on: the new primary is read-only until off there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from readonly_router import following, is_read_only
from readonly_router.switch import reports
from readonly_router.switch.receipt import Verdict
from tests import database
from tests.database import Scratch
from tests.harness.pairs import lead
from tests.harness.servers import Servers, own_servers
from tests.harness.switches import make_switchable, names, read, throw_on, wait_until_followed, write
from tests.switch.switching import Outcome, default_of, read_only


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
def story(programs: Path | None, django_db_blocker: Any) -> Iterator[Story]:
    with (
        django_db_blocker.unblock(),
        own_servers(programs) as servers,
        database.scratch(servers.primary) as pair,
    ):
        make_switchable(pair)
        servers.catch_up()
        lead(pair.twin_alias, servers.standby)
        write(pair, "before")
        yield tell(pair, servers)
        connections.close_all()
    following.forget()


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
    assert (story.status.status, "proved" in story.status.out) == (1, True)


def test_verify_on_the_new_primary_notes_the_timeline(story: Story) -> None:
    assert any(note.startswith("timeline 1 -> 2") for note in story.verdict.noted)


def test_verify_on_the_new_primary_is_clean(story: Story) -> None:
    assert story.verdict.moved == ()


def test_off_on_the_new_primary_opens_it(story: Story) -> None:
    assert (story.off.status, story.follows, story.written) == (0, True, True)


def test_the_old_primary_stays_fenced(story: Story) -> None:
    assert (story.written_on_the_old_one, story.old_default) == ({"before"}, "on")
