"""Fixtures of the group: the site built once, its readers signed in before the switch, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client, override_settings

from readonly_router import disable_writes
from tests import database
from tests.plugin import url_for
from tests.wagtail import content


@pytest.fixture(scope="session")
def site(
    django_db_blocker: Any, server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """The site's parts, in the database of the run itself, made as an operator makes it: no test database of Django's.

    No test changes them, for every write of a test is refused.
    """
    media = tmp_path_factory.mktemp("media")
    with django_db_blocker.unblock(), override_settings(MEDIA_ROOT=str(media)):
        call_command("migrate", verbosity=0)
        parts = content.build()
        call_command(
            "create_readonly_role",
            admin_url=url_for(server, database=connections.settings["default"]["NAME"]),
            stdout=io.StringIO(),
            stderr=io.StringIO(),
        )
        yield parts
        connections.close_all()


@pytest.fixture(scope="session")
def visitor(site: dict[str, Any]) -> Client:
    """Somebody who only reads."""
    return Client()


@pytest.fixture(scope="session")
def admin(site: dict[str, Any]) -> Client:
    """An administrator whose session was made before the switch."""
    client = Client()
    assert client.login(username="admin", password=content.PASSWORD)
    return client


@pytest.fixture
def read_only_mode(site: dict[str, Any]) -> None:
    """The process as DB_READ_ONLY=1 starts it; the root conftest sets it back."""
    disable_writes()


@pytest.fixture(scope="session")
def checksum(server: str, site: dict[str, Any]) -> Callable[[], str]:
    """A function that digests every row and sequence, asked as superuser."""

    def take() -> str:
        name = connections.settings["default"]["NAME"]
        with psycopg.connect(url_for(server, database=name), autocommit=True) as connection:
            return database.checksum(connection)

    return take


@pytest.fixture(scope="session")
def media(site: dict[str, Any]) -> Callable[[], set[str]]:
    """A function that lists the files of the media folder."""

    def files() -> set[str]:
        root = Path(settings.MEDIA_ROOT)
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    return files
