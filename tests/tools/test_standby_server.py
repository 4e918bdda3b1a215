"""The tests' own standby ends with its parent, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.embedded import EmbeddedServerError, embedded_server
from tests.harness.endings import answers, killed
from tests.harness.pairs import wait_for

OPEN_STANDBY_AND_WAIT = """
import time
from tests.embedded import embedded_server
with embedded_server() as primary, embedded_server(primary=primary) as standby:
    print(primary, standby, flush=True)
    time.sleep(600)
"""


def folder(url: str) -> Path:
    with psycopg.connect(url) as connection:
        return Path((connection.execute("SHOW data_directory").fetchone() or ("",))[0]).parent


def test_a_primary_and_its_standby_go_with_a_killed_parent() -> None:
    with killed(OPEN_STANDBY_AND_WAIT) as urls:
        folders = [folder(url) for url in urls]
    wait_for(lambda: not any(path.exists() for path in folders))
    assert [len(folders), any(answers(url) for url in urls)] == [2, False]


def test_a_standby_of_no_server_is_one_line() -> None:
    nowhere = "postgres://postgres:secret@127.0.0.1:1/postgres"
    with (
        pytest.raises(EmbeddedServerError, match="pg_basebackup failed") as error,
        embedded_server(primary=nowhere),
    ):
        pass
    assert ["\n" in str(error.value), "secret" in str(error.value)] == [False, False]
