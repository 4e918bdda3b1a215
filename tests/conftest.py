"""Fixtures: the example shop in a test database with its twin provisioned, and scratch databases to provision."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections

from readonly_router import mode
from tests import database
from tests.database import Scratch
from tests.plugin import SERVER_VARIABLE, url_for


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let every test of the shop use both logins, in real transactions."""
    for item in items:
        if "shop" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.django_db(transaction=True, databases=["default", "readonly"]))


@pytest.fixture(scope="session")
def server() -> str:
    """The superuser's URL."""
    return os.environ[SERVER_VARIABLE]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any, server: str) -> None:
    """Provision the twin on Django's test database, as an operator would."""
    call_command("create_readonly_role", admin_url=server, stdout=io.StringIO(), stderr=io.StringIO())


@pytest.fixture
def shop(transactional_db: None) -> None:
    """The example shop with content, its tables emptied after the test."""
    from tests.example.shop.content import fill

    fill()


@pytest.fixture
def superuser(server: str, shop: None) -> Iterator[psycopg.Connection[Any]]:
    """An autocommit superuser session in the shop's database."""
    name = connections.settings["default"]["NAME"]
    with psycopg.connect(url_for(server, database=name), autocommit=True) as connection:
        yield connection


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
def mode_of_the_process() -> Iterator[None]:
    """Every test begins and ends in the mode the environment asks for."""
    mode.set_process(None)
    yield
    mode.set_process(None)
