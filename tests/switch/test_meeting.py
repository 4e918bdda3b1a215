"""The first use of a twin in a process: asked once where it leads, and refused where that is elsewhere."""

from __future__ import annotations

import logging
import select
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings

from readonly_router import ConfigurationError, is_read_only, logins, mode, read_only
from readonly_router.conf import ProcessMode
from readonly_router.connections import handler as resolution
from readonly_router.connections import meeting
from readonly_router.following import followers
from readonly_router.switch.off import switch_off
from readonly_router.switch.on import switch_on
from tests.database import Scratch, entry
from tests.harness.pairs import wait_for
from tests.harness.servers import Servers
from tests.places import another_database, copy_elsewhere, leading_to
from tests.switch.follower import sent_on_new
from tests.switch.switching import notes

ALIAS = "scratch"


@pytest.fixture(autouse=True)
def met_nobody(pair: Scratch) -> Iterator[None]:
    meeting.forget()
    followers.forget()
    yield
    connections.close_all()
    meeting.forget()


def read(alias: str = ALIAS) -> int:
    """Return what a read says: the port of the server, so that it can be told apart."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT inet_server_port()")
        return int(cursor.fetchone()[0])


def write() -> None:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("INSERT INTO note (text) VALUES ('written')")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect whom this package logs in as, beside Django's own connections."""
    seen: list[str] = []
    connect = logins.connect

    def noting(who: str, *args: object, **kwargs: object) -> logins.Session:
        seen.append(who)
        return connect(who, *args, **kwargs)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(logins, "connect", noting)
    return seen


def test_a_twin_of_another_database_serves_no_read(pair: Scratch) -> None:
    with another_database(pair) as name:
        for _ in range(2):
            with (
                read_only(),
                pytest.raises(ConfigurationError, match=f"'{name}'.*'{pair.name}' of the same server"),
            ):
                read()


def test_a_copy_on_another_server_serves_no_read(pair: Scratch) -> None:
    write()
    with copy_elsewhere(pair), read_only(), pytest.raises(ConfigurationError, match="no standby of it"):
        read()


def test_a_switched_process_reads_no_copy(pair: Scratch) -> None:
    """The operator's command looked at the right place; this process was started with another URL."""
    switch_on(ALIAS, grace=0)
    with copy_elsewhere(pair), pytest.raises(ConfigurationError, match="no standby of it"):
        read()


def test_a_declared_replica_serves_reads(pair: Scratch) -> None:
    with override_settings(READONLY_ROUTER_REPLICAS=["scratch_twin"]), copy_elsewhere(pair) as copy, read_only():
        assert str(read()) in copy.server


def test_a_twin_of_the_writers_server_is_asked_once_and_the_writer_never(pair: Scratch, asked: list[str]) -> None:
    write()
    with sent_on_new() as sent:
        for _ in range(3):
            with read_only():
                read()
            connections["scratch_twin"].close()
    assert (sum("pg_control_system" in statement for statement in sent), asked) == (1, [])


def test_a_standby_is_compared_with_the_writer_itself(
    pair_with_standby: Scratch, with_standby: Servers, asked: list[str]
) -> None:
    write()
    with_standby.catch_up()
    with leading_to(pair_with_standby, with_standby.standby), read_only():
        assert str(read()) in with_standby.standby
    assert asked == ["the writer 'scratch'"]


@pytest.mark.parametrize("process", [ProcessMode.READ_ONLY, ProcessMode.LOCKED])
def test_a_process_that_keeps_the_writer_unused_says_what_is_not_compared(
    pair: Scratch, process: ProcessMode, asked: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    mode.set_process(process)
    with caplog.at_level(logging.INFO, "readonly_router"):
        read()
    (said,) = [record.getMessage() for record in caplog.records if record.module == "meeting"]
    assert f"'scratch_twin' reads database '{pair.name}' of server" in said
    assert ("not compared with 'scratch'" in said, asked) == (True, [])


def test_a_writer_that_cannot_log_in_keeps_no_read_away(pair: Scratch, caplog: pytest.LogCaptureFixture) -> None:
    with entry(ALIAS, PASSWORD="wrong"), read_only(), caplog.at_level(logging.INFO, "readonly_router"):
        read()
    assert "Cannot log in as the writer 'scratch'" in caplog.text
    assert "wrong" not in caplog.text


def test_a_server_that_tells_no_identifier_is_met_all_the_same(pair: Scratch) -> None:
    with pair.superuser() as superuser:
        superuser.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        try:
            with entry("scratch_twin", AUTOCOMMIT=False), read_only():
                read()
                meeting.forget()
            with read_only():
                read()
            with another_database(pair), read_only(), pytest.raises(ConfigurationError):
                read()
        finally:
            superuser.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")


# -- a replica and the switch


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look and ask as often as there is an occasion."""
    monkeypatch.setattr(followers.of(ALIAS), "ask_seconds", 0.0)
    monkeypatch.setattr(followers.of(ALIAS), "look_seconds", 0.0)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("options", [{}, {"pool": {"min_size": 1, "max_size": 2}}], ids=["plain", "pool"])
def test_a_site_that_reads_a_replica_follows_the_switch_both_ways(pair: Scratch, options: dict[str, Any]) -> None:
    """The replica knows nothing of it: a session of the writer's carries the news."""
    with override_settings(READONLY_ROUTER_REPLICAS=["scratch_twin"]), copy_elsewhere(pair) as copy:
        with entry("scratch_twin", OPTIONS=options):
            write()
            switch_on(ALIAS, grace=0)
            resolution.begin_request()
            for _ in range(3):
                assert str(read()) in copy.server
                assert is_read_only(ALIAS)
                connections["scratch_twin"].close()
            switch_off(ALIAS, grace=0)
            wait_for(lambda: not is_read_only(ALIAS))
            resolution.begin_request()
            write()
            assert (str(read()) in pair.server, notes(pair), notes(copy)) == (True, 2, 1)
            connections["scratch_twin"].close_pool() if options else None


@pytest.mark.usefixtures("at_once")
def test_the_session_that_carried_the_news_to_a_site_with_a_replica_is_not_written_on(pair: Scratch) -> None:
    """It began read-only, and stays so."""
    with override_settings(READONLY_ROUTER_REPLICAS=["scratch_twin"]), copy_elsewhere(pair):
        switch_on(ALIAS, grace=0)
        for _ in range(3):
            read()
        with pair.superuser() as superuser:
            reset = f'ALTER ROLE "{pair.writer}" IN DATABASE "{pair.name}" RESET default_transaction_read_only'
            superuser.execute(reset.encode())
            superuser.execute("NOTIFY readonly_router")
        socket = connections.own(ALIAS).connection.pgconn.socket
        wait_for(lambda: bool(select.select([socket], [], [], 0)[0]))
        write()
    assert notes(pair) == 1
