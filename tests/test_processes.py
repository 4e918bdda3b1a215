"""Processes started read-only: every door again in DB_READ_ONLY=1 and locked, pooled, threaded and forked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.site import Site, site

REFUSALS = {"25006", "42501"}
TRY_ALL = "from tests.doors import tell; tell()"

PROCESSES = {
    "read-only": {"DB_READ_ONLY": "1"},
    "locked": {"DB_READ_ONLY": "locked", "DATABASE_URL": None},
    "pool": {"DB_READ_ONLY": "1", "EXAMPLE_POOL": "1"},
    "locked pool": {"DB_READ_ONLY": "locked", "EXAMPLE_POOL": "1"},
}


@pytest.fixture(scope="module")
def shop_site(server: str) -> Iterator[Site]:
    with site(server) as made:
        yield made


@pytest.fixture(autouse=True)
def unchanged(shop_site: Site) -> Iterator[None]:
    """Every process leaves the data as it was."""
    before = shop_site.checksum()
    yield
    assert shop_site.checksum() == before


@pytest.fixture(scope="module", params=PROCESSES)
def tried(request: pytest.FixtureRequest, shop_site: Site) -> Any:
    """The outcomes of all doors, tried once in such a process, with the data the same before and after."""
    before = shop_site.checksum()
    finished = shop_site.python(TRY_ALL, **PROCESSES[request.param])
    assert finished.returncode == 0, finished.stderr
    assert shop_site.checksum() == before
    return json.loads(finished.stdout)


def test_every_door_through_django_is_refused(tried: dict[str, Any]) -> None:
    opened = {
        name: outcome
        for name, outcome in tried["refused"].items()
        if outcome["raised"] != "ReadOnlyError"
        or outcome["sqlstate"] not in REFUSALS
        or outcome["alias"] != "readonly"
        or outcome["cause_sqlstate"] != outcome["sqlstate"]
    }

    assert opened == {}


def test_every_door_under_django_is_refused(tried: dict[str, Any]) -> None:
    assert {name: out for name, out in tried["raw"].items() if out["sqlstate"] not in REFUSALS} == {}


def test_every_read_works(tried: dict[str, Any]) -> None:
    assert {name: out for name, out in {**tried["reads"], **tried["quiet"]}.items() if out["raised"]} == {}


@pytest.mark.parametrize("value", ["1", "true", "YES", "on", "locked"])
def test_each_word_for_read_only_is_understood(shop_site: Site, value: str) -> None:
    finished = shop_site.python(
        "from django.db import connection; from readonly_router import is_read_only\n"
        "print(is_read_only(), connection.settings_dict['USER'])",
        DB_READ_ONLY=value,
    )

    assert finished.stdout.split() == ["True", shop_site.scratch.twin]


@pytest.mark.parametrize("value", [None, "", "0", "false", "No", "off"])
def test_each_word_for_following_leaves_the_writer(shop_site: Site, value: str | None) -> None:
    finished = shop_site.python(
        "from django.db import connection; from readonly_router import is_read_only\n"
        "print(is_read_only(), connection.settings_dict['USER'])",
        DB_READ_ONLY=value,
    )

    assert finished.stdout.split() == ["False", shop_site.scratch.writer]


def test_another_word_stops_the_process_with_one_line(shop_site: Site) -> None:
    finished = shop_site.manage("check", DB_READ_ONLY="maybe")

    assert finished.returncode != 0
    assert "DB_READ_ONLY='maybe' is not understood" in finished.stderr.splitlines()[-1]


THREADS = """
import threading
from concurrent.futures import ThreadPoolExecutor
from django.db import connections
from tests.doors import REFUSED, attempt

def work():
    try:
        return attempt(REFUSED["save"]).raised
    finally:
        connections.close_all()

with ThreadPoolExecutor(max_workers=3) as pool:
    print(*{future.result() for future in [pool.submit(work) for _ in range(6)]})
"""


@pytest.mark.parametrize("process", ["read-only", "locked", "pool"])
def test_threads_begin_read_only(shop_site: Site, process: str) -> None:
    assert shop_site.python(THREADS, **PROCESSES[process]).stdout.split() == ["ReadOnlyError"]


FORK = """
import os, sys
from django.db import connections
from readonly_router import disable_writes
from tests.doors import REFUSED, attempt

connections.close_all()
disable_writes()
child = os.fork()
if child == 0:
    print(attempt(REFUSED["save"]).raised, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_forked_worker_inherits_the_mode(shop_site: Site) -> None:
    assert shop_site.python(FORK).stdout.split() == ["ReadOnlyError"]


SPAWN = """
import sys, subprocess
from readonly_router import disable_writes
from tests.site import MANAGE

disable_writes()
code = "from readonly_router import is_read_only; print(is_read_only())"
subprocess.run([sys.executable, str(MANAGE), "shell", "-v0", "-c", code], check=True)
"""


def test_a_process_started_by_another_asks_its_own_environment(shop_site: Site) -> None:
    # disable_writes() is for this process; the environment is what children share.
    assert shop_site.python(SPAWN).stdout.split() == ["False"]
    assert shop_site.python(SPAWN, DB_READ_ONLY="1").stdout.split() == ["True"]


POOL = """
from django.db import connection, connections
from tests.doors import REFUSED, attempt

connection.ensure_connection()
print(connection.pool is not None, attempt(REFUSED["save"]).raised)
connection.close()
print(connection.alias, attempt(REFUSED["cursor: execute"]).raised)
connections.close_all()
print(*type(connections["readonly"])._connection_pools)
"""


def test_pooled_sessions_are_the_twins(shop_site: Site) -> None:
    finished = shop_site.python(POOL, **PROCESSES["pool"])

    assert finished.stdout.split() == ["True", "ReadOnlyError", "readonly", "ReadOnlyError", "readonly"], (
        finished.stderr
    )


LOGINS = """
from django.db.backends.signals import connection_created
from django.test import Client

seen = []
connection_created.connect(lambda connection, **_: seen.append(connection.alias), weak=False)
assert Client().get("/order/").status_code == 200
print(*seen)
"""


@pytest.mark.parametrize(("value", "alias"), [("1", "readonly"), ("0", "default"), ("locked", "readonly")])
def test_an_atomic_request_opens_one_connection(shop_site: Site, value: str, alias: str) -> None:
    finished = shop_site.python(LOGINS, DB_READ_ONLY=value, EXAMPLE_ATOMIC_REQUESTS="1")

    assert finished.stdout.split() == [alias], finished.stderr


LOCKED = """
import json
from django.conf import settings
from django.db import connections
from readonly_router import enable_writes, writable, ModeError, disable_writes

def refusal(act):
    try:
        act()
    except ModeError as error:
        return str(error)

def enter():
    with writable():
        pass

refusals = [refusal(enter), refusal(enable_writes), refusal(writable()(lambda: None))]
disable_writes()
pair = [connections["default"], connections["readonly"], *connections.all()]
logins = [wrapper.settings_dict for wrapper in pair]
print(json.dumps([refusals, repr([settings.DATABASES, connections.settings, logins])]))
"""


@pytest.mark.parametrize("writer_known", [True, False])
def test_a_locked_process_holds_no_writer_login(shop_site: Site, writer_known: bool) -> None:
    env = {} if writer_known else {"DATABASE_URL": None}
    finished = shop_site.python(LOCKED, DB_READ_ONLY="locked", **env)
    _, held = json.loads(finished.stdout)

    assert shop_site.scratch.twin in held
    assert shop_site.scratch.writer not in held
    assert shop_site.scratch.password not in held


def test_a_locked_process_cannot_be_unlocked(shop_site: Site) -> None:
    refusals, _ = json.loads(shop_site.python(LOCKED, DB_READ_ONLY="locked").stdout)

    assert len(refusals) == 3
    assert all("DB_READ_ONLY=locked" in refusal for refusal in refusals)


WRITABLE = """
from readonly_router import writable, enable_writes, disable_writes, get_status
from tests.example.shop.models import Tag

with writable():
    Tag.objects.create(name="door").delete()
enable_writes()
Tag.objects.create(name="door").delete()
disable_writes()
print(get_status().source, get_status().read_only)
"""


def test_a_shell_of_a_read_only_process_can_be_made_writable(shop_site: Site) -> None:
    digits = "SELECT setval(pg_get_serial_sequence('shop_tag', 'id'), %s)"
    last = shop_site.superuser.execute("SELECT last_value FROM shop_tag_id_seq").fetchone()

    finished = shop_site.python(WRITABLE, DB_READ_ONLY="1")

    assert finished.stdout.split() == ["process", "True"], finished.stderr
    shop_site.superuser.execute(digits, last)


def test_a_connection_that_a_module_kept_as_it_was_imported_writes_no_more_than_a_new_one(shop_site: Site) -> None:
    code = """
import django
from django.db import connections
kept = connections["default"]
kept.wrap_database_errors
django.setup()
from readonly_router import ReadOnlyError
try:
    with kept.cursor() as cursor:
        cursor.execute("INSERT INTO shop_tag (name) VALUES ('kept')")
except ReadOnlyError as error:
    print('refused')
"""
    finished = shop_site.run(code, DB_READ_ONLY="1", DJANGO_SETTINGS_MODULE="tests.example.settings")
    assert (finished.stdout.split(), finished.returncode) == (["refused"], 0), finished.stderr


def test_a_slip_of_the_variables_name_stops_start_up(shop_site: Site) -> None:
    finished = shop_site.manage("check", DB_READONLY="1")
    assert (finished.returncode, "DB_READONLY is not read" in finished.stderr.splitlines()[-1]) == (1, True)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("EXEMPT", ["^/api/(v1"]), ("RETRY_AFTER", "soon"), ("VISITORS", "nobody"), ("UNSAFE_METHODS", "allow")],
)
def test_a_setting_that_is_not_understood_stops_start_up(shop_site: Site, setting: str, value: Any) -> None:
    code = f"""
from django.conf import settings
import tests.example.settings as example
settings.configure(
    **{{name: value for name, value in vars(example).items() if name.isupper()}},
    READONLY_ROUTER_{setting}={value!r},
)
import django
django.setup()
"""
    finished = shop_site.run(code)
    assert (finished.returncode, f"READONLY_ROUTER_{setting}" in finished.stderr.splitlines()[-1]) == (1, True)
