"""A twin's place compared with its writer's: what is the same database, and what only looks like it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import override_settings

from readonly_router.place import Place, differs, is_same, refusal, uncompared

WRITER = Place(system=7001, database="shop", oid=16400, standby=False, started=1_700_000_000_000_000)
STANDBY = replace(WRITER, standby=True, started=1_700_000_500_000_000)
COPY = replace(WRITER, started=1_700_000_500_000_000)
DATABASE = replace(WRITER, database="stage", oid=16999)
SERVER = replace(WRITER, system=7002, started=1_700_000_500_000_000)


@pytest.mark.parametrize("twin", [WRITER, STANDBY, replace(STANDBY, database="renamed")])
def test_the_writers_database_and_its_standby_are_no_difference(twin: Place) -> None:
    assert (differs(WRITER, twin), refusal("default", "readonly", WRITER, twin)) == (False, "")


@pytest.mark.parametrize(
    "twin",
    [DATABASE, SERVER, COPY, replace(SERVER, standby=True), replace(STANDBY, oid=16999)],
    ids=["database", "server", "promoted copy", "standby of another", "database of a standby"],
)
def test_another_place_is_refused_in_one_line_with_the_variable_to_mend(twin: Place) -> None:
    says = refusal("default", "readonly", WRITER, twin)
    assert ("DATABASE_READONLY_URL" in says, "\n" in says) == (True, False)
    assert (f"'{twin.database}'" in says, "'shop'" in says) == (True, True)


@override_settings(READONLY_ROUTER_REPLICAS=["readonly"])
def test_a_declared_replica_is_not_refused() -> None:
    assert (differs(WRITER, SERVER), refusal("default", "readonly", WRITER, SERVER)) == (True, "")


@pytest.mark.parametrize("twin", [COPY, replace(STANDBY, database="stage"), DATABASE])
def test_without_system_identifiers_start_name_and_oid_are_compared(twin: Place) -> None:
    assert differs(WRITER, replace(twin, system=None))


def test_a_standby_whose_identifier_is_not_known_is_told_of() -> None:
    standby = replace(STANDBY, system=None)
    assert (differs(WRITER, standby), "pg_control_system()" in uncompared(WRITER, standby)) == (False, True)


@pytest.mark.parametrize("twin", [WRITER, replace(WRITER, system=None), STANDBY])
def test_what_was_compared_is_not_told_of(twin: Place) -> None:
    assert uncompared(WRITER, twin) == ""


def test_two_logins_are_of_one_database_whatever_they_may_ask() -> None:
    assert is_same(WRITER, replace(WRITER, system=None))
    assert not is_same(WRITER, STANDBY)
