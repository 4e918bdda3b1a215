"""Corners of the switch: odd names, events that are lost, settings of the writer's own that get in the way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from psycopg import sql

from readonly_router.mark import MARKED
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.plugin import PREFIX
from tests.switch.switching import (
    default_of,
    events,
    read_only,
    running,
    state,
    switched,
    transaction,
    value,
    wait_until_blocked,
)
from tests.switch.test_verify import verify, write

ODD = {
    "name": f"{PREFIX}\"odd'näme{{0}}",
    "writer": f'{PREFIX} wrïter\'s "100%s"',
    "twin": f"{PREFIX} twïn's {{0}}",
}


@pytest.mark.parametrize("scratch", [ODD], indirect=True)
def test_names_may_hold_anything(fresh_pair: Scratch) -> None:
    pair = fresh_pair
    pair.run('CREATE SEQUENCE "a %s ""sequence"" {0}"', 'CREATE TABLE "a %s ""table"" {0}" (id int)')
    said = ("--reason", "100% {0} 'why' \"%s\"", "--by", "ann%s")
    receipt = switched(pair, "--accept-unreadable", *said)
    assert (receipt.roles, receipt.horizon.database) == ((pair.writer,), pair.name)
    assert (default_of(pair), state(pair).reason) == ("on", "100% {0} 'why' \"%s\"")
    write(pair, 'INSERT INTO "a %s ""table"" {0}" VALUES (1)')
    assert '"a %s ""table"" {0}": 1 rows' in verify(pair).out
    assert (read_only(pair, "off").status, default_of(pair)) == (0, "off")


@pytest.mark.parametrize("scratch", [ODD], indirect=True)
def test_a_login_is_fenced_and_given_back_whatever_its_name(fresh_pair: Scratch) -> None:
    pair = fresh_pair
    switched(pair, "--fence", "login", "--admin-url", pair.server)
    assert state(pair).nologin == (pair.writer,)
    read_only(pair, "off", "--admin-url", pair.server)
    assert default_of(pair) == "off"


def test_the_event_is_written_in_the_transaction_of_the_switch(pair: Scratch, tmp_path: Path) -> None:
    with transaction(pair), running(pair, tmp_path, "on") as command, pair.superuser() as superuser:
        command.wait_for_line("begin read-only")
        event = value(superuser, "SELECT xmin::text FROM readonly_router_event")
        marked = f"setconfig && ARRAY{MARKED}"
        query = f"SELECT xmin::text FROM pg_db_role_setting WHERE {marked}"
        assert (event,) in superuser.execute(query.encode()).fetchall()


def test_a_switch_whose_event_is_lost_is_proved_anew(pair: Scratch) -> None:
    switched(pair)
    with pair.superuser() as superuser:
        superuser.execute("TRUNCATE readonly_router_event")
    switched(pair, "--reason", "again")
    assert (state(pair).proved, state(pair).reason, events(pair)) == (True, "again", ["on"])
    assert read_only(pair, "verify").status == 0


def test_a_timeout_of_the_writers_does_not_end_the_commands_own_queries(pair: Scratch) -> None:
    """A site's login often has one; the sequences of a large schema take longer."""
    pair.run("CREATE SEQUENCE spare")
    with pair.superuser() as superuser, ThreadPoolExecutor(1) as pool:
        for setting in ("statement_timeout = '200ms'", "idle_session_timeout = '200ms'"):
            superuser.execute(sql.SQL("ALTER ROLE {} SET " + setting).format(sql.Identifier(pair.writer)))
        superuser.execute("BEGIN")
        superuser.execute("DROP SEQUENCE spare")
        outcome = pool.submit(read_only, pair, "on")
        wait_until_blocked(pair)
        with pair.superuser() as other:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND now() - waitstart > '300ms'"
            wait_for(lambda: value(other, waiting) > 0 or outcome.done())
        superuser.execute("ROLLBACK")
        assert outcome.result().status == 0, outcome.result().err


def test_a_database_default_of_serializable_is_no_hindrance(pair: Scratch) -> None:
    with pair.superuser() as superuser:
        for setting in ("default_transaction_isolation = serializable", "default_transaction_deferrable = on"):
            superuser.execute(sql.SQL("ALTER DATABASE {} SET " + setting).format(sql.Identifier(pair.name)))
    switched(pair)
    assert (read_only(pair, "verify").status, read_only(pair, "off").status) == (0, 0)
    assert default_of(pair) == "off"


def test_events_in_a_schema_of_the_sites_own_are_found(pair: Scratch) -> None:
    with pair.superuser() as superuser:
        names = {"role": sql.Identifier(pair.writer), "database": sql.Identifier(pair.name)}
        superuser.execute(sql.SQL("CREATE SCHEMA site AUTHORIZATION {role}").format(**names))
        superuser.execute("ALTER TABLE readonly_router_event SET SCHEMA site")
        superuser.execute(sql.SQL("GRANT USAGE ON SCHEMA site TO {}").format(sql.Identifier(pair.twin)))
        superuser.execute(sql.SQL("ALTER DATABASE {database} SET search_path = site, public").format(**names))
    switched(pair, "--reason", "moving")
    assert (state(pair).reason, read_only(pair, "verify").status) == ("moving", 0)
    assert " on by " in read_only(pair, "history").out
