"""A write that landed is never told as refused: its commit waits for a standby as its session is ended."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connections
from django.test import override_settings
from psycopg import sql

from readonly_router import is_read_only
from readonly_router.http.refused import is_of_the_mode
from readonly_router.mark import MARKS, SETTING
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.switch.switching import value

INSERT = "INSERT INTO note (text) VALUES ('landed')"
WAITING = """SELECT count(*) FROM pg_stat_activity
    WHERE usename = %s AND datname = current_database() AND wait_event = 'SyncRep'"""
END = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s AND wait_event = 'SyncRep'"


@contextmanager
def standby_missing(superuser: psycopg.Connection[Any]) -> Iterator[None]:
    """Have every commit but the superuser's wait for a standby that is not there."""
    superuser.execute("SET synchronous_commit = local")
    try:
        _name_standby(superuser, "absent")
        yield
    finally:
        _name_standby(superuser, "")


def _name_standby(superuser: psycopg.Connection[Any], name: str) -> None:
    superuser.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'".encode())
    superuser.execute("SELECT pg_reload_conf()")
    wait_for(lambda: value(superuser, "SHOW synchronous_standby_names") == name)


def end_as_the_switch_is_thrown(superuser: psycopg.Connection[Any], pair: Scratch) -> None:
    """Throw the switch while the commit waits, and end the session as a drain by force does."""
    wait_for(lambda: value(superuser, WAITING, pair.writer) == 1)
    statement = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}").format(
        sql.Identifier(pair.writer), sql.Identifier(pair.name), sql.Identifier(SETTING), sql.Literal(MARKS[0])
    )
    superuser.execute(statement)
    superuser.execute(END.encode(), [pair.writer])


@pytest.fixture
def followed(own_pair: Scratch) -> Iterator[Scratch]:
    with override_settings(READONLY_ROUTER_PAIRS={own_pair.alias: own_pair.twin_alias}):
        yield own_pair


def test_a_write_that_landed_before_its_session_was_ended_is_not_told_as_refused(followed: Scratch) -> None:
    with followed.superuser() as superuser, ThreadPoolExecutor(1) as operator:
        cursor = connections[followed.alias].cursor()
        with standby_missing(superuser):
            thrown = operator.submit(end_as_the_switch_is_thrown, superuser, followed)
            with pytest.raises(OperationalError) as told:
                cursor.execute(INSERT)
            thrown.result()
        landed = value(superuser, "SELECT count(*) FROM note WHERE text = 'landed'")

    assert (landed, is_read_only(followed.alias)) == (1, True)
    assert isinstance(told.value.__cause__, psycopg.OperationalError)
    assert not is_of_the_mode(told.value)
