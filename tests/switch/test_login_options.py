"""What libpq takes for a login beside DATABASES, of a service or the environment: two logins stay two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.test import override_settings

from readonly_router import disable_writes, mode
from readonly_router.checks.pairs import check_settings, check_twins
from tests.database import Scratch, entry
from tests.switch.follower import following_anew, met_on, session
from tests.switch.switching import default_of, events, read_only, switched, transaction

pytestmark = pytest.mark.usefixtures("unsettled")
WANTS = "read-write"


def set_in_options(pair: Scratch, alias: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setitem(connections.settings[alias]["OPTIONS"], "target_session_attrs", WANTS)


def set_in_the_environment(pair: Scratch, alias: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("PGTARGETSESSIONATTRS", WANTS)


def set_in_a_service(pair: Scratch, alias: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    file = folder / "services"
    file.write_text(f"[other]\nuser=nobody\n\n[wants]\n# as the operator has it\ntarget_session_attrs={WANTS}\n")
    patch.setenv("PGSERVICEFILE", str(file))
    patch.setitem(connections.settings[alias]["OPTIONS"], "service", "wants")


Places = Callable[[Scratch, str, Path, pytest.MonkeyPatch], None]
anywhere = pytest.mark.parametrize("place", [set_in_options, set_in_the_environment, set_in_a_service])


def checks(pair: Scratch) -> list[str]:
    with override_settings(READONLY_ROUTER_PAIRS={pair.alias: pair.twin_alias}):
        found = [*check_settings(), *check_twins(databases=[pair.alias])]
    return [message.id or "" for message in found if message.id != "readonly_router.W013"]


@anywhere
def test_a_twin_of_which_the_session_should_write_logs_in_all_the_same(
    pair: Scratch, place: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(pair, pair.twin_alias, tmp_path, monkeypatch)
    assert checks(pair) == (["readonly_router.W034"] if place is set_in_the_environment else [])
    if place is not set_in_the_environment:
        assert switched(pair).roles == (pair.writer,)
    with override_settings(READONLY_ROUTER_PAIRS={pair.alias: pair.twin_alias}):
        disable_writes()
        with connections[pair.alias].cursor() as cursor:
            cursor.execute("SELECT session_user::text")
            assert cursor.fetchone() == (pair.twin,)


@anywhere
def test_on_refuses_a_writer_that_could_not_log_in_afterwards_before_anything_is_ended(
    pair: Scratch, place: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(pair, pair.alias, tmp_path, monkeypatch)
    assert "readonly_router.W034" in checks(pair)
    with transaction(pair) as held:
        outcome = read_only(pair, "on")
        held.execute("COMMIT")
    assert (outcome.status, default_of(pair), events(pair)) == (1, "off", [])
    assert f"target_session_attrs=read-write keeps the login of '{pair.alias}' out" in outcome.err


def test_the_twins_session_follows_under_the_switch(shop: None) -> None:
    with entry("readonly", OPTIONS={"target_session_attrs": WANTS}), following_anew():
        met_on()
        assert session().info.user == connections.settings["readonly"]["USER"]


# -- a twin that is the writer in truth


def two_services(pair: Scratch, twin_user: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    file = folder / "services"
    file.write_text(f"[writer]\nuser={pair.writer}\n[twin]\nuser={twin_user}\n")
    patch.setenv("PGSERVICEFILE", str(file))
    for alias, service in ((pair.alias, "writer"), (pair.twin_alias, "twin")):
        patch.setitem(connections.settings[alias], "USER", "")
        patch.setitem(connections.settings[alias]["OPTIONS"], "service", service)


def one_user_for_both(pair: Scratch, twin_user: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("PGUSER", twin_user)
    for alias in (pair.alias, pair.twin_alias):
        patch.setitem(connections.settings[alias], "USER", "")


@pytest.fixture
def apart() -> Iterator[None]:
    """Ask on connections of this test's own."""
    connections.close_all()
    yield
    connections.close_all()
    mode.set_process(None)


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("leads", [two_services, one_user_for_both])
@pytest.mark.parametrize("read_only_process", [False, True])
def test_a_twin_that_logs_in_as_the_writer_by_another_name_is_refused(
    pair: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leads: Any, *, read_only_process: bool
) -> None:
    leads(pair, pair.writer, tmp_path, monkeypatch)
    with override_settings(READONLY_ROUTER_PAIRS={pair.alias: pair.twin_alias}):
        assert "readonly_router.E008" in [message.id for message in check_settings()]
        if read_only_process:
            disable_writes()
        with pytest.raises(ImproperlyConfigured, match=f"logs in as the writer '{pair.alias}' itself"):
            connections[pair.twin_alias].ensure_connection()
    assert read_only(pair, "on").status == 1
    assert (default_of(pair), events(pair)) == ("off", [])


@pytest.mark.usefixtures("apart")
def test_two_services_of_two_logins_serve(pair: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_services(pair, pair.twin, tmp_path, monkeypatch)
    assert checks(pair) == []
    assert (switched(pair).roles, read_only(pair, "off").status) == ((pair.writer,), 0)


# -- a twin that is turned away


def statement(pair: Scratch, text: str) -> None:
    with pair.superuser() as superuser:
        superuser.execute(text.format(twin=f'"{pair.twin}"', database=f'"{pair.name}"').encode())


TURNED_AWAY = {
    "NOLOGIN": ("ALTER ROLE {twin} NOLOGIN", "ALTER ROLE {twin} LOGIN", "ALTER ROLE {twin} LOGIN"),
    "a limit": (
        "ALTER ROLE {twin} CONNECTION LIMIT 0",
        "ALTER ROLE {twin} CONNECTION LIMIT -1",
        "ALTER ROLE {twin} CONNECTION LIMIT -1",
    ),
    "expired": (
        "ALTER ROLE {twin} VALID UNTIL '2001-01-01'",
        "ALTER ROLE {twin} VALID UNTIL 'infinity'",
        "ALTER ROLE {twin} VALID UNTIL 'infinity'",
    ),
    "no CONNECT": (
        "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC, {twin}",
        "GRANT CONNECT ON DATABASE {database} TO PUBLIC, {twin}",
        "GRANT CONNECT ON DATABASE {database} TO {twin}",
    ),
}


@pytest.mark.parametrize(("shut", "opened", "told"), TURNED_AWAY.values(), ids=TURNED_AWAY)
def test_a_twin_that_is_turned_away_is_told_with_the_statement_for_that(
    pair: Scratch, shut: str, opened: str, told: str
) -> None:
    statement(pair, shut)
    outcome = read_only(pair, "on")
    statement(pair, opened)
    assert (outcome.status, events(pair)) == (1, [])
    assert told.format(twin=f'"{pair.twin}"', database=f'"{pair.name}"') in outcome.err


def test_an_empty_password_is_named_as_that(pair: Scratch) -> None:
    with entry(pair.twin_alias, PASSWORD=""):
        outcome = read_only(pair, "on")
    assert outcome.status == 1
    assert "its PASSWORD in DATABASES is empty: set DB_READONLY_PASSWORD" in outcome.err
