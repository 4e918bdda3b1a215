"""The pair that the tests of the switch throw, and a server of their own to restart and to configure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from readonly_router.following import followers
from readonly_router.switch import standing
from tests import database
from tests.database import Scratch
from tests.embedded import embedded_server, wheel_binaries
from tests.harness.servers import Servers
from tests.ledger import servers
from tests.ledger.servers import Server
from tests.switch.stage import played, prepare, stage
from tests.switch.switching import value


@pytest.fixture
def unsettled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the half second in which PostgreSQL 14 counts rows, for tests that do not compare them later."""
    monkeypatch.setattr(standing, "_settled_counters", standing._counters)


@pytest.fixture(scope="session")
def first_stage(server: str) -> Iterator[Scratch]:
    """A database for the pair of one test after the other."""
    with stage(server) as made:
        yield made


@pytest.fixture
def pair(first_stage: Scratch, django_db_blocker: Any) -> Iterator[Scratch]:
    """A pair that is ready to be switched: with its audit events, its twin and a table."""
    with django_db_blocker.unblock(), played(first_stage):
        yield first_stage
    followers.forget()


@pytest.fixture
def fresh_pair(scratch: Scratch, django_db_blocker: Any) -> Iterator[Scratch]:
    """The same in a database of its own, for what a test asks of its roles and names."""
    with django_db_blocker.unblock():
        prepare(scratch)
        yield scratch
    followers.forget()


@pytest.fixture(scope="session")
def restartable(server: str) -> Iterator[Server]:
    """A server for these tests alone, of the suite's major where its programs are on this machine."""
    with psycopg.connect(server, autocommit=True) as connection:
        found = Path(value(connection, "SELECT setting FROM pg_config() WHERE name = 'BINDIR'"))
    with servers.server(found if (found / "initdb").exists() else wheel_binaries()) as made:
        yield made


@pytest.fixture(scope="session")
def own_server(restartable: Server) -> str:
    """Its superuser's URL."""
    return restartable.url


@pytest.fixture
def with_standby() -> Iterator[Servers]:
    """A server with a standby, both of the wheel: other binaries may lack pg_basebackup."""
    with embedded_server() as primary, embedded_server(primary=primary) as standby:
        yield Servers(primary=primary, standby=standby)


@pytest.fixture
def own_pair(own_server: str, django_db_blocker: Any) -> Iterator[Scratch]:
    """A pair that is ready to be switched, on the server of these tests alone."""
    with django_db_blocker.unblock(), database.scratch(own_server) as made:
        prepare(made)
        yield made
        with made.superuser() as superuser:
            # A test that failed may have left one, which keeps its database from being dropped.
            here = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
            for (gid,) in superuser.execute(here).fetchall():
                superuser.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
    followers.forget()


@pytest.fixture
def pair_with_standby(with_standby: Servers, django_db_blocker: Any) -> Iterator[Scratch]:
    """A pair that is ready to be switched, on a server with a standby."""
    with django_db_blocker.unblock(), database.scratch(with_standby.primary) as made:
        prepare(made)
        yield made
    followers.forget()
