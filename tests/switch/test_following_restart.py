"""PostgreSQL restarts, told to or by a crash: sessions are replaced, and the switch is followed as before."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import connections

from readonly_router import ReadOnlyError, is_read_only
from readonly_router.connections import handler as resolution
from readonly_router.following import followers
from readonly_router.switch.off import switch_off
from readonly_router.switch.on import switch_on
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.ledger.servers import ENDINGS, Server
from tests.switch.follower import NEVER

ALIAS = "scratch"


@pytest.fixture(autouse=True)
def follower(own_pair: Scratch) -> Iterator[None]:
    followers.forget()
    yield
    switch_off(ALIAS, grace=0)


@pytest.fixture
def restart(request: pytest.FixtureRequest, restartable: Server) -> Callable[[], None]:
    """A function that restarts the server: told to, where the test does not say otherwise."""

    def restarted() -> None:
        restartable.restart(getattr(request, "param", "restart"))
        resolution.begin_request()

    return restarted


EITHER_WAY = pytest.mark.parametrize("restart", ENDINGS, indirect=True)


def on() -> None:
    switch_on(ALIAS, grace=0)
    resolution.begin_request()


def off() -> None:
    switch_off(ALIAS, grace=0)


def reads_as() -> str:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT session_user, count(*) FROM note GROUP BY 1 UNION ALL SELECT session_user, 0")
        return str(cursor.fetchone()[0])


def write() -> None:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("INSERT INTO note (text) VALUES ('written')")


@EITHER_WAY
def test_in_normal_mode_the_next_read_and_write_are_served(own_pair: Scratch, restart: Callable[[], None]) -> None:
    write()
    restart()
    write()
    assert reads_as() == own_pair.writer


@EITHER_WAY
def test_a_process_stays_read_only(own_pair: Scratch, restart: Callable[[], None]) -> None:
    on()
    reads_as()
    restart()
    assert reads_as() == own_pair.twin
    with pytest.raises(ReadOnlyError):
        write()


def test_a_switch_thrown_after_the_restart_is_met_on_the_next_session(
    own_pair: Scratch, restart: Callable[[], None]
) -> None:
    write()
    restart()
    on()
    assert reads_as() == own_pair.twin
    with pytest.raises(ReadOnlyError):
        write()


@EITHER_WAY
def test_a_switch_thrown_before_the_restart_is_met_on_the_next_session(
    own_pair: Scratch, restart: Callable[[], None]
) -> None:
    write()
    on()
    restart()
    assert reads_as() == own_pair.twin
    with pytest.raises(ReadOnlyError):
        write()


def test_off_is_met_after_a_restart(own_pair: Scratch, restart: Callable[[], None]) -> None:
    on()
    reads_as()
    restart()
    off()
    wait_for(lambda: reads_as() == own_pair.writer)
    write()


def test_the_news_is_pushed_to_the_session_after_a_restart(
    own_pair: Scratch, restart: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    on()
    reads_as()
    restart()
    monkeypatch.setattr(followers.of(ALIAS), "look_seconds", 0.0)
    monkeypatch.setattr(followers.of(ALIAS), "ask_seconds", 0.0)
    reads_as()
    is_read_only(ALIAS)
    monkeypatch.setattr(followers.of(ALIAS), "ask_seconds", NEVER)
    off()
    wait_for(lambda: not is_read_only(ALIAS))
    write()
