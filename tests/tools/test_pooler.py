"""The tests' own PgBouncer ends with its parent, and leaves nothing behind."""

from __future__ import annotations

import socket

import psycopg
import pytest

from tests.harness import pgbouncer
from tests.harness.endings import answers, killed
from tests.harness.pairs import wait_for
from tests.harness.pgbouncer import folder_of, pooler

OPEN_AND_WAIT = """
import os, time
from tests.harness.pgbouncer import pooler
with pooler(os.environ["TEST_DATABASE_URL"]) as url:
    print(url, flush=True)
    time.sleep(600)
"""


def test_a_pooler_goes_with_its_killed_parent() -> None:
    with killed(OPEN_AND_WAIT) as (url,):
        folder = folder_of(url)
    wait_for(lambda: not folder.exists())
    assert not answers(url)


def test_a_pooler_goes_after_an_exception(server: str) -> None:
    with pytest.raises(ZeroDivisionError), pooler(server) as url:
        folder = folder_of(url)
        raise ZeroDivisionError
    assert [folder.exists(), answers(url)] == [False, False]


def test_its_passwords_are_its_own_to_read(server: str) -> None:
    with pooler(server) as url:
        assert {path.stat().st_mode & 0o077 for path in folder_of(url).glob("*.*")} == {0}


def test_it_pools_transactions(server: str) -> None:
    with pooler(server) as url, psycopg.connect(url, autocommit=True) as connection:
        answer = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert answer != (connection.info.backend_pid,)


def test_a_port_taken_meanwhile_is_given_up_for_another(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = iter([port, pgbouncer._free_port()])
        monkeypatch.setattr(pgbouncer, "_free_port", lambda: next(ports))
        with pooler(server) as url, psycopg.connect(url) as connection:
            assert connection.info.port != port
