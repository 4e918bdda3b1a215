"""Fixtures of the group: the site built once, in a database that is no test database of Django's.

Run with --confcutdir: the fixtures of the other tests belong to the example shop.
"""

from __future__ import annotations

import copy
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test import Client, override_settings

from readonly_router import disable_writes, mode
from tests import database
from tests.plugin import SERVER_VARIABLE, url_for
from tests.wagtail import content
from tests.wagtail.pages import lasting

Answers = Callable[[str], tuple[int, bytes]]
Normally = Callable[[Callable[[], Any]], tuple[Any, bool]]


def pytest_configure(config: pytest.Config) -> None:
    """Let pass what Wagtail leaves to the garbage collector: the temporary files of renditions."""
    config.addinivalue_line("filterwarnings", "ignore:Unclosed file <tempfile.Spooled:ResourceWarning")


@pytest.fixture(scope="session")
def server() -> str:
    """The superuser's URL."""
    return os.environ[SERVER_VARIABLE]


@pytest.fixture(autouse=True)
def mode_of_the_process() -> Iterator[None]:
    """Every test begins and ends in the mode the environment asks for."""
    mode.set_process(None)
    yield
    mode.set_process(None)


@pytest.fixture(scope="session")
def site(
    django_db_blocker: Any, server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """The site's parts, in the run's own database, made as an operator makes it: no test database of Django's.

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
def visit(site: dict[str, Any]) -> Callable[[str], Client]:
    """A function that gives a browser of somebody who signed in before the switch, or of a stranger."""
    cookies = {"": Client().cookies}
    for name in ("admin", "newcomer"):
        client = Client()
        assert client.login(username=name, password=content.PASSWORD)
        cookies[name] = client.cookies

    def visitor(name: str) -> Client:
        client = Client()
        client.cookies = copy.deepcopy(cookies[name])
        return client

    return visitor


@pytest.fixture(scope="session")
def answers(site: dict[str, Any], visit: Callable[[str], Client]) -> Answers:
    """A function that gives the status and the lasting part of the body of an address."""

    def read(path: str) -> tuple[int, bytes]:
        user = "admin" if "admin/" in path else ""
        response = visit(user).get(path.format(**site))
        return response.status_code, lasting(response.getvalue())

    return read


@pytest.fixture(scope="session")
def normally(site: dict[str, Any]) -> Normally:
    """A function that does something in normal mode and takes it back: its result, and whether it wrote."""

    def do(deed: Callable[[], Any]) -> tuple[Any, bool]:
        with _files_kept(), transaction.atomic(), connection.cursor() as cursor:
            result = deed()
            cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")
            wrote = cursor.fetchone()[0]
            transaction.set_rollback(True)
        return result, wrote

    return do


@contextmanager
def _files_kept() -> Iterator[None]:
    """Put the media folder back as it was: no rollback reaches files."""
    with TemporaryDirectory() as kept:
        shutil.copytree(settings.MEDIA_ROOT, kept, dirs_exist_ok=True)
        yield
        shutil.rmtree(settings.MEDIA_ROOT)
        shutil.copytree(kept, settings.MEDIA_ROOT)


@pytest.fixture
def read_only_mode(site: dict[str, Any]) -> None:
    """The process as DB_READ_ONLY=1 starts it; `mode_of_the_process` sets it back."""
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
