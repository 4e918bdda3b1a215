"""Provisioning where the twin's login leads elsewhere: refused in one line, also by `--check` and `--dry-run`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.checks import CheckMessage, Error
from django.test import override_settings

from readonly_router import mode
from readonly_router.checks.pairs import check_settings, check_twins
from readonly_router.conf import ProcessMode
from tests.database import Scratch
from tests.harness.servers import Servers
from tests.places import another_database, copy_elsewhere, leading_to
from tests.roles.provisioning import command, provisioned
from tests.roles.test_refusals import fingerprint, is_one_line
from tests.switch.conftest import pair_with_standby, with_standby

__all__ = ["pair_with_standby", "with_standby"]

VERBS = pytest.mark.parametrize("verb", [(), ("--check",), ("--dry-run",)], ids=["run", "check", "dry run"])
REPLICAS = override_settings(READONLY_ROUTER_REPLICAS=["scratch_twin"])


@pytest.fixture(autouse=True)
def unblocked(django_db_blocker: Any) -> Iterator[None]:
    """A copy is made with Django's own statements."""
    with django_db_blocker.unblock():
        yield


@VERBS
def test_another_database_is_refused_before_anything_changes(scratch: Scratch, verb: tuple[str, ...]) -> None:
    provisioned(scratch)
    scratch.run("CREATE TABLE later (id int)", f'REVOKE SELECT ON later FROM "{scratch.twin}"')
    before = fingerprint(scratch)
    with another_database(scratch) as name:
        status, _, error = command(scratch, *verb)
        assert fingerprint(scratch) == before
    assert (status, is_one_line(error), "DATABASE_READONLY_URL" in error) == (1, True, True)
    assert (f"'{name}'" in error, f"'{scratch.name}'" in error) == (True, True)


def test_a_first_run_whose_twin_leads_to_another_database_is_no_success(scratch: Scratch) -> None:
    with another_database(scratch) as name:
        status, out, error = command(scratch)
    assert (status, f"'{name}'" in error, "readable" in out) == (1, True, False)


@VERBS
def test_a_copy_on_another_server_is_refused(scratch: Scratch, verb: tuple[str, ...]) -> None:
    provisioned(scratch)
    with copy_elsewhere(scratch):
        status, _, error = command(scratch, *verb)
    assert (status, is_one_line(error), "READONLY_ROUTER_REPLICAS" in error) == (1, True, True)
    assert scratch.password not in error


@REPLICAS
def test_a_declared_replica_is_proved_and_told_of(scratch: Scratch) -> None:
    scratch.run("CREATE TABLE note (id int)")
    provisioned(scratch)
    with copy_elsewhere(scratch):
        status, out, error = command(scratch, "--check")
    assert (status, "is a replica by READONLY_ROUTER_REPLICAS" in out) == (0, True), error


def test_a_standby_is_right_and_its_promoted_copy_is_not(
    pair_with_standby: Scratch, with_standby: Servers
) -> None:
    provisioned(pair_with_standby)
    with_standby.catch_up()
    with leading_to(pair_with_standby, with_standby.standby):
        assert command(pair_with_standby, "--check")[0] == 0
        with_standby.promote()
        status, _, error = command(pair_with_standby, "--check")
    assert (status, is_one_line(error), "no standby of it" in error) == (1, True, True)


REVOKED = "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC"


def test_a_server_that_tells_no_identifier_is_compared_by_its_start(scratch: Scratch) -> None:
    provisioned(scratch)
    with scratch.superuser() as superuser:
        superuser.execute(REVOKED.encode())
    status, out, _ = command(scratch, "--check")
    assert (status, "not compared" in out) == (0, False)
    with another_database(scratch):
        assert command(scratch, "--check")[0] == 1


def test_a_standby_that_tells_no_identifier_is_told_as_not_compared(
    pair_with_standby: Scratch, with_standby: Servers
) -> None:
    provisioned(pair_with_standby)
    with pair_with_standby.superuser() as superuser:
        superuser.execute(REVOKED.encode())
    with_standby.catch_up()
    with leading_to(pair_with_standby, with_standby.standby):
        status, out, _ = command(pair_with_standby, "--check")
    assert (status, "NOTE: not compared with the writer's server: system identifiers" in out) == (0, True)


# -- the system check


def checked(scratch: Scratch) -> list[CheckMessage]:
    return check_twins(databases=[scratch.alias])


def ids_with_hints(messages: Any) -> list[str]:
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


def test_the_check_names_a_twin_of_another_database(scratch: Scratch) -> None:
    provisioned(scratch)
    with another_database(scratch) as name:
        (found,) = checked(scratch)
    assert (found.id, isinstance(found, Error), f"'{name}'" in found.msg) == ("readonly_router.E032", True, True)


def test_the_check_names_a_twin_of_another_server(scratch: Scratch) -> None:
    provisioned(scratch)
    with copy_elsewhere(scratch):
        assert ids_with_hints(checked(scratch)) == ["readonly_router.E032"]
        with REPLICAS:
            assert ids_with_hints(checked(scratch)) == []


@pytest.mark.parametrize("process", [ProcessMode.READ_ONLY, ProcessMode.WRITABLE])
def test_the_check_says_what_a_process_without_its_writer_cannot_compare(
    scratch: Scratch, process: ProcessMode
) -> None:
    provisioned(scratch)
    mode.set_process(process)
    found = checked(scratch)
    assert ids_with_hints(found) == (["readonly_router.W032"] if process is ProcessMode.READ_ONLY else [])


@override_settings(READONLY_ROUTER_REPLICAS=["default"])
def test_the_check_names_a_replica_that_is_no_twin() -> None:
    (found,) = check_settings()
    assert (found.id, "'default'" in found.msg) == ("readonly_router.E001", True)
