"""The system checks: each finding with its id and a hint, and silence where all is well."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connections, router
from django.test import modify_settings, override_settings

from readonly_router import mode
from readonly_router.checks.pairs import check_settings, check_twins
from readonly_router.conf import ProcessMode
from tests.database import Scratch, entry
from tests.roles.provisioning import provisioned

OURS = "readonly_router.router.ReadOnlyRouter"


def ids_with_hints(messages: Any) -> list[str]:
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


class Everything:
    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "default"


class Migrations:
    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "default"


class Nothing:
    def db_for_write(self, model: Any, **hints: Any) -> None:
        return None


@contextmanager
def routers(*first: Any) -> Iterator[None]:
    """Set DATABASE_ROUTERS, as dotted paths and as instances."""
    router.__dict__.pop("routers", None)
    before, router._routers = router._routers, list(first)
    try:
        with override_settings(DATABASE_ROUTERS=list(first)):
            yield
    finally:
        router._routers = before
        router.__dict__.pop("routers", None)


def test_the_example_site_has_no_finding() -> None:
    assert ids_with_hints(check_settings()) == []


def test_the_checks_are_registered() -> None:
    with entry("readonly", TEST={}):
        assert "readonly_router.W012" in [message.id for message in run_checks()]


@override_settings(READONLY_ROUTER_PAIRS=["default"])
def test_pairs_that_are_no_mapping() -> None:
    assert ids_with_hints(check_settings()) == ["readonly_router.E001"]


@modify_settings(INSTALLED_APPS={"remove": ["readonly_router"]})
def test_the_app_is_missing() -> None:
    assert ids_with_hints(check_settings()) == ["readonly_router.E002"]


def test_the_router_is_missing() -> None:
    with routers():
        assert ids_with_hints(check_settings()) == ["readonly_router.E003"]


def test_a_router_before_ours_answers_for_everything() -> None:
    with routers(Everything(), OURS):
        assert ids_with_hints(check_settings()) == ["readonly_router.E004"]


def test_a_router_before_ours_answers_about_migrations() -> None:
    with routers(Migrations(), OURS):
        assert ids_with_hints(check_settings()) == ["readonly_router.E004"]


def test_a_router_stands_before_ours() -> None:
    with routers(Nothing(), OURS):
        assert ids_with_hints(check_settings()) == ["readonly_router.W005"]


def test_a_router_after_ours_is_no_finding() -> None:
    with routers(OURS, Everything()):
        assert ids_with_hints(check_settings()) == []


@pytest.mark.parametrize("pairs", [{"default": "absent"}, {"absent": "readonly"}])
def test_an_alias_is_missing(pairs: dict[str, str]) -> None:
    with override_settings(READONLY_ROUTER_PAIRS=pairs):
        assert ids_with_hints(check_settings())[0] == "readonly_router.E006"


@pytest.mark.parametrize("alias", ["default", "readonly"])
def test_another_vendor(alias: str) -> None:
    with entry(alias, ENGINE="django.db.backends.sqlite3"):
        assert ids_with_hints(check_settings()) == ["readonly_router.E007"]


def test_the_twin_logs_in_as_the_writer() -> None:
    with entry("readonly", USER=connections.settings["default"]["USER"]):
        assert ids_with_hints(check_settings()) == ["readonly_router.E008"]


def test_a_locked_process_holds_the_writers_login() -> None:
    mode.set_process(ProcessMode.LOCKED)
    assert ids_with_hints(check_settings()) == ["readonly_router.E009"]


def test_a_locked_process_with_one_login_is_no_finding() -> None:
    mode.set_process(ProcessMode.LOCKED)
    with entry("readonly", USER=connections.settings["default"]["USER"]):
        assert ids_with_hints(check_settings()) == []


def test_atomic_requests_on_the_twin() -> None:
    with entry("readonly", ATOMIC_REQUESTS=True):
        assert ids_with_hints(check_settings()) == ["readonly_router.E010"]


def test_an_alias_in_no_pair_stays_writable() -> None:
    connections.settings["logs"] = dict(connections.settings["default"])
    try:
        assert ids_with_hints(check_settings()) == ["readonly_router.W013"]
    finally:
        del connections.settings["logs"]


def test_an_assumed_role_on_the_twin() -> None:
    with entry("readonly", OPTIONS={"assume_role": "owner"}):
        assert ids_with_hints(check_settings()) == ["readonly_router.E011"]


def test_the_twin_is_not_mirrored() -> None:
    with entry("readonly", TEST={"MIRROR": None}):
        assert ids_with_hints(check_settings()) == ["readonly_router.W012"]


def test_a_provisioned_twin_is_no_finding(scratch: Scratch) -> None:
    scratch.run("CREATE TABLE thing (id int)")
    provisioned(scratch)
    assert ids_with_hints(check_twins(databases=[scratch.alias])) == []


def test_no_twin_is_asked_without_its_database(scratch: Scratch) -> None:
    assert (
        ids_with_hints(check_twins(databases=["default_of_nobody"]))
        == ids_with_hints(check_twins(databases=None))
        == []
    )


def test_a_twin_that_cannot_log_in(scratch: Scratch) -> None:
    found = check_twins(databases=[scratch.alias])
    assert (ids_with_hints(found), found[0].is_serious()) == (["readonly_router.W020"], False)
    assert scratch.password not in str(found)


def test_a_twin_is_looked_at_though_the_settings_have_a_warning(scratch: Scratch) -> None:
    connections.settings["logs"] = dict(connections.settings["default"])
    try:
        assert ids_with_hints(check_settings()) == ["readonly_router.W013"]
        assert ids_with_hints(check_twins(databases=[scratch.alias])) == ["readonly_router.W020"]
    finally:
        del connections.settings["logs"]


def test_no_twin_is_looked_at_while_the_settings_have_an_error(scratch: Scratch) -> None:
    with entry("readonly", ATOMIC_REQUESTS=True):
        assert ids_with_hints(check_twins(databases=[scratch.alias])) == []


def test_a_twin_that_can_write(scratch: Scratch) -> None:
    scratch.run("CREATE TABLE thing (id int)")
    provisioned(scratch)
    scratch.run(f'GRANT INSERT ON thing TO "{scratch.twin}"')
    assert ids_with_hints(check_twins(databases=[scratch.twin_alias])) == ["readonly_router.W021"]


def test_a_twin_whose_sessions_do_not_start_read_only(scratch: Scratch) -> None:
    provisioned(scratch)
    with scratch.superuser() as connection:
        connection.execute(f'ALTER ROLE "{scratch.twin}" RESET default_transaction_read_only'.encode())
    found = check_twins(databases=[scratch.alias])
    assert (ids_with_hints(found), "start read-only" in found[0].msg) == (["readonly_router.W021"], True)


def test_a_twin_that_cannot_read(scratch: Scratch) -> None:
    provisioned(scratch)
    scratch.run(*(f"CREATE TABLE t{number} (id int)" for number in range(5)))
    scratch.run(*(f'REVOKE SELECT ON t{number} FROM "{scratch.twin}"' for number in range(5)))
    found = check_twins(databases=[scratch.alias])
    assert (ids_with_hints(found), "and 2 more" in found[0].msg) == (["readonly_router.W022"], True)


def test_django_starts_with_the_app_missing_and_says_so(tmp_path: Any) -> None:
    """In a process of its own: `check` must find what the missing AppConfig cannot.

    On Django 6.1 it loads the routers first, and ours refuses.
    """
    code = (
        "from django.conf import settings; import django\n"
        "from readonly_router import databases_from_env\n"
        "settings.configure(DATABASES=databases_from_env(), SECRET_KEY='x',\n"
        f"    DATABASE_ROUTERS=['{OURS}'], INSTALLED_APPS=['django.contrib.contenttypes'])\n"
        "django.setup()\n"
        "from django.core.management import call_command; call_command('check')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert result.returncode != 0
    assert any(
        words in result.stderr for words in ("readonly_router.E002", "add 'readonly_router' to INSTALLED_APPS")
    )
