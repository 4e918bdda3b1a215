"""Management commands in a read-only process: what writes is refused in one line, what reads works."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site import Site, path_with_psql, site

READ_ONLY = {"DB_READ_ONLY": "1"}
BOTH = pytest.mark.parametrize("value", ["1", "locked"])


@pytest.fixture(scope="module")
def shop_site(server: str) -> Iterator[Site]:
    with site(server) as made:
        yield made


@pytest.fixture(autouse=True)
def unchanged(shop_site: Site) -> Iterator[None]:
    """Every command leaves the data as it was."""
    before = shop_site.checksum()
    yield
    assert shop_site.checksum() == before


@pytest.fixture
def fixture_file(tmp_path: Path) -> Path:
    path = tmp_path / "door.json"
    path.write_text(json.dumps([{"model": "shop.tag", "pk": 1, "fields": {"name": "door"}}]))
    return path


@pytest.fixture
def unapplied_migration(shop_site: Site) -> Iterator[None]:
    """The shop's second migration looks unapplied; its first statement creates a sequence."""
    where = "app = 'shop' AND name = '0002_beyond_tables'"
    (row,) = shop_site.superuser.execute(f"SELECT id, applied FROM django_migrations WHERE {where}")
    shop_site.superuser.execute(f"DELETE FROM django_migrations WHERE {where}")
    yield
    insert = "INSERT INTO django_migrations (id, app, name, applied) VALUES (%s, 'shop', '0002_beyond_tables', %s)"
    shop_site.superuser.execute(insert, row)


@pytest.fixture
def stale_content_type(shop_site: Site) -> Iterator[None]:
    """The content type of a model that is gone."""
    last = shop_site.superuser.execute("SELECT last_value FROM django_content_type_id_seq").fetchone()
    shop_site.superuser.execute("INSERT INTO django_content_type (app_label, model) VALUES ('shop', 'door')")
    yield
    shop_site.superuser.execute("DELETE FROM django_content_type WHERE model = 'door'")
    shop_site.superuser.execute("SELECT setval('django_content_type_id_seq', %s)", last)


def assert_refused_in_one_line(finished: subprocess.CompletedProcess[str]) -> None:
    """It fails, and its last line says that PostgreSQL refused; no traceback."""
    assert finished.returncode != 0, finished.stdout
    assert "Traceback" not in finished.stderr
    # Before it there may be a warning of the system checks, or Django's own "could not be created".
    last = finished.stderr.strip().splitlines()[-1]
    assert "PostgreSQL refused this on 'readonly' (25006: " in last, finished.stderr


SUPERUSER = {"DJANGO_SUPERUSER_PASSWORD": "door-2025"}

REFUSED: dict[str, tuple[list[str], dict[str, str]]] = {
    "createsuperuser": (
        ["createsuperuser", "--noinput", "--username=door", "--email=door@example.com"],
        SUPERUSER,
    ),
    "flush": (["flush", "--noinput"], {}),
    "flush of the twin": (["flush", "--noinput", "--database=readonly"], {}),
    "clearsessions": (["clearsessions"], {}),
    "createcachetable": (["createcachetable", "another_cache"], {}),
    "migrate back": (["migrate", "shop", "zero"], {}),
    "migrate, faked back": (["migrate", "shop", "0001", "--fake"], {}),
    "code in a shell": (
        ["shell", "-v0", "-c", "from tests.example.shop.models import Tag; Tag.objects.create(name='door')"],
        {},
    ),
}


@BOTH
@pytest.mark.parametrize("name", REFUSED)
def test_a_writing_command_is_refused_in_one_line(shop_site: Site, name: str, value: str) -> None:
    arguments, env = REFUSED[name]

    finished = shop_site.manage(*arguments, DB_READ_ONLY=value, **env)

    assert_refused_in_one_line(finished)


@BOTH
def test_loaddata_is_refused_in_one_line(shop_site: Site, fixture_file: Path, value: str) -> None:
    finished = shop_site.manage("loaddata", str(fixture_file), DB_READ_ONLY=value)

    assert_refused_in_one_line(finished)
    assert "Installed" not in finished.stdout


def test_changepassword_is_refused(shop_site: Site) -> None:
    # Without a terminal getpass warns on stderr that it may echo, and asks there.
    finished = shop_site.manage("changepassword", "editor", answers="door-2025\ndoor-2025\n", **READ_ONLY)

    assert finished.returncode != 0
    assert "Traceback" not in finished.stderr
    assert finished.stderr.splitlines()[-1].partition("CommandError: PostgreSQL refused this on 'readonly'")[1]


@BOTH
def test_migrate_with_an_unapplied_migration_is_refused(
    shop_site: Site, unapplied_migration: None, value: str
) -> None:
    finished = shop_site.manage("migrate", DB_READ_ONLY=value)

    assert_refused_in_one_line(finished)
    assert "OK" not in finished.stdout


def test_migrate_fake_with_an_unapplied_migration_is_refused(shop_site: Site, unapplied_migration: None) -> None:
    assert_refused_in_one_line(shop_site.manage("migrate", "--fake", **READ_ONLY))


def test_migrate_with_nothing_to_do_says_so_and_succeeds(shop_site: Site) -> None:
    finished = shop_site.manage("migrate", **READ_ONLY)

    assert finished.returncode == 0, finished.stderr
    assert "No migrations to apply." in finished.stdout


def test_migrate_check_still_tells_that_something_is_unapplied(shop_site: Site, unapplied_migration: None) -> None:
    finished = shop_site.manage("migrate", "--check", **READ_ONLY)

    # Its checks log in as the twin alone, and say what they could not compare.
    assert (finished.returncode, finished.stderr.count("readonly_router.")) == (1, 1)
    assert ("readonly_router.W032" in finished.stderr, "Traceback" in finished.stderr) == (True, False)


def test_createcachetable_with_nothing_to_do_succeeds(shop_site: Site) -> None:
    finished = shop_site.manage("createcachetable", "--verbosity=1", **READ_ONLY)

    assert (finished.returncode, finished.stdout.strip()) == (0, "Cache table 'shop_cache' already exists.")


def test_removing_stale_content_types_is_refused(shop_site: Site, stale_content_type: None) -> None:
    finished = shop_site.manage("remove_stale_contenttypes", "--noinput", **READ_ONLY)

    assert_refused_in_one_line(finished)


def test_traceback_shows_where_it_was_refused(shop_site: Site) -> None:
    finished = shop_site.manage("clearsessions", "--traceback", **READ_ONLY)

    assert finished.returncode != 0
    assert "Traceback" in finished.stderr
    assert "psycopg.errors.ReadOnlySqlTransaction" in finished.stderr


def test_migrate_of_a_database_without_tables_is_refused_in_one_line(shop_site: Site) -> None:
    # Django cannot even create its table of migrations.
    run = shop_site.superuser.execute
    run("ALTER TABLE django_migrations RENAME TO hidden_migrations")
    try:
        finished = shop_site.manage("migrate", **READ_ONLY)
    finally:
        run("ALTER TABLE hidden_migrations RENAME TO django_migrations")

    assert_refused_in_one_line(finished)


# A router of the project's that speaks of its own alias only, beside ours.

ROUTED_SETTINGS = """
from tests.example.settings import *

class OnlyDefault:
    def allow_migrate(self, db, app_label, **hints):
        return db == "default"

DATABASE_ROUTERS = {routers}
"""
OURS, THEIRS = "'readonly_router.router.ReadOnlyRouter'", "OnlyDefault()"


def _routed(folder: Path, routers: str) -> dict[str, str]:
    (folder / "routed_settings.py").write_text(ROUTED_SETTINGS.format(routers=f"[{routers}]"))
    # manage.py keeps what PYTHONPATH put there.
    return {"DJANGO_SETTINGS_MODULE": "routed_settings", "PYTHONPATH": str(folder), **READ_ONLY}


@pytest.fixture
def routed(tmp_path: Path) -> dict[str, str]:
    """The environment of a site with such a router."""
    return _routed(tmp_path, f"{OURS}, {THEIRS}")


@pytest.mark.parametrize("command", [("flush", "--noinput"), ("migrate",)], ids=lambda command: command[0])
def test_such_a_router_before_ours_is_an_error_that_stops_the_command(
    shop_site: Site, tmp_path: Path, command: tuple[str, ...]
) -> None:
    finished = shop_site.manage(*command, **_routed(tmp_path, f"{THEIRS}, {OURS}"))

    assert (finished.returncode, "readonly_router.E004" in finished.stderr) == (1, True)


def test_flush_is_refused_with_a_router_that_allows_the_writer_alone(
    shop_site: Site, routed: dict[str, str]
) -> None:
    assert_refused_in_one_line(shop_site.manage("flush", "--noinput", **routed))


def test_migrate_is_refused_with_a_router_that_allows_the_writer_alone(
    shop_site: Site, routed: dict[str, str], unapplied_migration: None
) -> None:
    assert_refused_in_one_line(shop_site.manage("migrate", **routed))


def test_createcachetable_is_refused_with_a_router_that_allows_the_writer_alone(
    shop_site: Site, routed: dict[str, str]
) -> None:
    assert_refused_in_one_line(shop_site.manage("createcachetable", "another_cache", **routed))


def test_loaddata_is_refused_with_a_router_that_allows_the_writer_alone(
    shop_site: Site, routed: dict[str, str], fixture_file: Path
) -> None:
    assert_refused_in_one_line(shop_site.manage("loaddata", str(fixture_file), **routed))


def test_dumpdata_is_whole_with_a_router_that_allows_the_writer_alone(
    shop_site: Site, routed: dict[str, str]
) -> None:
    finished = shop_site.manage("dumpdata", "shop.tag", **routed)

    assert len(json.loads(finished.stdout)) == 5


# psql, as the twin.


@BOTH
def test_dbshell_logs_in_as_the_twin(shop_site: Site, value: str) -> None:
    finished = shop_site.manage(
        "dbshell", "--", "-XAtc", "SELECT current_user", DB_READ_ONLY=value, PATH=path_with_psql()
    )

    assert finished.stdout.strip() == shop_site.scratch.twin


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO shop_tag (name) VALUES ('door')",
        "SET default_transaction_read_only = off; INSERT INTO shop_tag (name) VALUES ('door')",
        r"\copy shop_tag (name) FROM /dev/null",
        "DROP TABLE shop_tag",
    ],
)
def test_dbshell_is_refused(shop_site: Site, statement: str) -> None:
    finished = shop_site.manage("dbshell", "--", "-Xc", statement, PATH=path_with_psql(), **READ_ONLY)

    assert finished.returncode != 0
    assert "read-only transaction" in finished.stderr or "permission denied" in finished.stderr
    assert "Traceback" not in finished.stderr


# What only reads.


def test_dumpdata_works(shop_site: Site) -> None:
    finished = shop_site.manage("dumpdata", "shop", "auth", **READ_ONLY)

    assert finished.stdout == shop_site.manage("dumpdata", "shop", "auth").stdout
    assert len(json.loads(finished.stdout)) > 50


@pytest.mark.parametrize(
    "arguments",
    [
        ["showmigrations"],
        ["sqlmigrate", "shop", "0002"],
        ["sqlflush"],
        ["sqlsequencereset", "shop", "auth"],
        ["inspectdb", "shop_tag", "shop_product"],
        ["makemigrations", "--check"],
        ["check"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_reading_command_answers_as_before(shop_site: Site, arguments: list[str]) -> None:
    # sqlflush lists a set.
    before = shop_site.manage(*arguments, PYTHONHASHSEED="0")

    finished = shop_site.manage(*arguments, PYTHONHASHSEED="0", **READ_ONLY)

    assert finished.returncode == before.returncode == 0, finished.stderr
    assert finished.stdout == before.stdout
