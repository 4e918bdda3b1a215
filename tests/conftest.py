"""Fixtures: the example shop in a test database with its twin provisioned, and scratch databases to provision."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from django.test.utils import setup_databases, teardown_databases

from readonly_router import mode
from tests import database
from tests.database import Scratch
from tests.example.shop.content import fill
from tests.plugin import SERVER_VARIABLE, url_for
from tests.snapshot import Snapshot


@pytest.fixture(scope="session")
def server() -> str:
    """The superuser's URL."""
    return os.environ[SERVER_VARIABLE]


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: Any, server: str) -> Iterator[None]:
    """Make Django's test database and provision the twin on it, as an operator would."""
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False)
    call_command("create_readonly_role", admin_url=server, stdout=io.StringIO(), stderr=io.StringIO())
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0)


@pytest.fixture(scope="session")
def filled_shop(django_db_setup: None, django_db_blocker: Any, server: str) -> Iterator[Snapshot]:
    """The example shop with content, and how it looked."""
    with django_db_blocker.unblock():
        fill()
        connections.close_all()
    name = connections.settings["default"]["NAME"]
    with psycopg.connect(url_for(server, database=name), autocommit=True) as connection:
        yield Snapshot(connection)


@pytest.fixture
def shop(filled_shop: Snapshot, django_db_blocker: Any) -> Iterator[None]:
    """The example shop with content, in real transactions; put back after the test."""
    with django_db_blocker.unblock():
        yield
        connections.close_all()
    filled_shop.restore()


@pytest.fixture
def superuser(filled_shop: Snapshot, shop: None) -> psycopg.Connection[Any]:
    """An autocommit superuser session in the shop's database."""
    return filled_shop.superuser


@pytest.fixture
def checksum(superuser: psycopg.Connection[Any]) -> Callable[[], str]:
    """A function that digests every row and sequence of the shop's database."""
    return lambda: database.checksum(superuser)


@pytest.fixture
def scratch(server: str, request: pytest.FixtureRequest) -> Iterator[Scratch]:
    """A pair of aliases for an empty database of their own, with a writer that is not superuser."""
    with database.scratch(server, **getattr(request, "param", {})) as made:
        yield made


@pytest.fixture(autouse=True)
def entries_of_the_shop() -> Iterator[None]:
    """A test that leaves another DATABASES behind fails itself, not those that come after it."""
    before = {alias: deepcopy(connections.settings[alias]) for alias in ("default", "readonly")}
    yield
    left = {alias: dict(connections.settings[alias]) for alias in before}
    for alias, found in before.items():
        found["NAME"] = left[alias]["NAME"]
        connections.settings[alias].clear()
        connections.settings[alias].update(found)
    assert left == before


@pytest.fixture(autouse=True)
def mode_of_the_process() -> Iterator[None]:
    """Every test begins and ends in the mode the environment asks for."""
    mode.set_process(None)
    yield
    mode.set_process(None)
