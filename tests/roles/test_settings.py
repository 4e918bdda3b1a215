"""The settings of the role: its read-only default, those copied from the writer, and row-level security."""

from __future__ import annotations

import pytest

from readonly_router import ProvisioningError
from tests.database import Scratch
from tests.roles.provisioning import OFF, ask, provisioned, refused


def alter(scratch: Scratch, setting: str, *, in_database: bool = False) -> None:
    place = f'IN DATABASE "{scratch.name}" ' if in_database else ""
    with scratch.superuser() as connection:
        connection.execute(f'ALTER ROLE "{scratch.writer}" {place}SET {setting}'.encode())


def test_sessions_of_the_twin_start_read_only(scratch: Scratch) -> None:
    provisioned(scratch)
    assert ask(scratch, "SHOW default_transaction_read_only") == [("on",)]


def test_each_of_the_two_layers_refuses_alone(scratch: Scratch) -> None:
    scratch.run("CREATE TABLE thing (id int)")
    provisioned(scratch)
    without_setting = refused(scratch, OFF, "INSERT INTO thing VALUES (1)")
    scratch.run(f'GRANT INSERT ON thing TO "{scratch.twin}"')
    without_grants = refused(scratch, "INSERT INTO thing VALUES (1)")
    assert (without_setting, without_grants) == ("42501", "25006")


def test_a_setting_in_the_database_does_not_undo_the_roles_own(scratch: Scratch) -> None:
    provisioned(scratch)
    setting = f'IN DATABASE "{scratch.name}" SET default_transaction_read_only = off'
    with scratch.superuser() as connection:
        connection.execute(f'ALTER ROLE "{scratch.twin}" {setting}'.encode())
    assert provisioned(scratch).statements == 1
    assert ask(scratch, "SHOW default_transaction_read_only") == [("on",)]


@pytest.mark.parametrize("in_database", [False, True], ids=["role", "role in database"])
@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("search_path = other, public", "search_path"),
        ("timezone = 'Asia/Kathmandu'", "timezone"),
        ("datestyle = 'SQL, DMY'", "datestyle"),
        ("intervalstyle = 'iso_8601'", "intervalstyle"),
        ("bytea_output = 'escape'", "bytea_output"),
        ("extra_float_digits = -3", "extra_float_digits"),
        ("app.tenant = 'seven; eight'", "app.tenant"),
    ],
    ids=lambda value: value.split(" ")[0],
)
def test_a_setting_that_changes_results_is_copied(
    scratch: Scratch, setting: str, name: str, in_database: bool
) -> None:
    scratch.run("CREATE SCHEMA other")
    alter(scratch, setting, in_database=in_database)
    provisioned(scratch)
    assert ask(scratch, f"SHOW {name}") == ask(scratch, f"SHOW {name}", scratch.writer)
    assert provisioned(scratch).statements == 0


@pytest.mark.parametrize("setting", ["default_transaction_read_only = off", "work_mem = '9MB'", "role = 'none'"])
def test_a_setting_that_does_not_change_results_is_not_copied(scratch: Scratch, setting: str) -> None:
    alter(scratch, setting)
    provisioned(scratch)
    query = "SELECT setconfig FROM pg_db_role_setting WHERE setrole = %s::regrole"
    with scratch.superuser() as connection:
        assert connection.execute(query, [f'"{scratch.twin}"']).fetchall() == [
            (["default_transaction_read_only=on"],)
        ]


def test_the_writers_own_schema_is_on_the_twins_path(scratch: Scratch) -> None:
    scratch.run(f'CREATE SCHEMA "{scratch.writer}"', f'CREATE TABLE "{scratch.writer}".mine (id int)')
    provisioned(scratch)
    assert refused(scratch, "SELECT * FROM mine") == ""
    assert provisioned(scratch).statements == 0


RLS = (
    "CREATE TABLE doc (id int, tenant text)",
    "INSERT INTO doc VALUES (1, 'a'), (2, 'b'), (3, 'b')",
    "ALTER TABLE doc ENABLE ROW LEVEL SECURITY",
)


def test_rows_that_the_writer_sees_and_the_twin_would_not_are_an_error(scratch: Scratch) -> None:
    scratch.run(*RLS, "CREATE POLICY tenants ON doc USING (tenant = 'a')")
    report = provisioned(scratch)
    assert refused(scratch, "SELECT * FROM doc") == "42501"
    assert report.proof is not None
    assert [gap.statement.split(" ON ")[0] for gap in report.proof.unreadable] == ["CREATE POLICY readonly_router"]


def test_the_policy_that_is_offered_shows_the_twin_every_row(scratch: Scratch) -> None:
    scratch.run(*RLS, "CREATE POLICY tenants ON doc USING (tenant = 'a')")
    report = provisioned(scratch)
    assert report.proof is not None
    scratch.run(report.proof.unreadable[0].statement)
    assert provisioned(scratch).holds
    assert ask(scratch, "SELECT count(*) FROM doc") == ask(scratch, "SELECT count(*) FROM doc", scratch.writer)


def test_a_forced_policy_shows_the_twin_what_it_shows_the_writer(scratch: Scratch) -> None:
    scratch.run(*RLS, "ALTER TABLE doc FORCE ROW LEVEL SECURITY")
    scratch.run("CREATE POLICY tenants ON doc USING (tenant = current_setting('app.tenant'))")
    alter(scratch, "app.tenant = 'b'")
    assert provisioned(scratch).holds
    assert (
        ask(scratch, "SELECT count(*) FROM doc")
        == ask(scratch, "SELECT count(*) FROM doc", scratch.writer)
        == [(2,)]
    )


def test_a_policy_for_the_writer_alone_is_an_error_for_the_twin(scratch: Scratch) -> None:
    scratch.run(*RLS, "ALTER TABLE doc FORCE ROW LEVEL SECURITY")
    scratch.run(f'CREATE POLICY mine ON doc TO "{scratch.writer}" USING (true)')
    assert not provisioned(scratch).holds
    assert refused(scratch, "SELECT * FROM doc") == "42501"


def test_bypassrls_is_refused_where_a_policy_is_forced(scratch: Scratch) -> None:
    scratch.run(*RLS, "ALTER TABLE doc FORCE ROW LEVEL SECURITY")
    with scratch.superuser() as connection:
        connection.execute(
            f"""CREATE ROLE "{scratch.twin}" LOGIN BYPASSRLS PASSWORD '{scratch.password}'""".encode()
        )
    with pytest.raises(ProvisioningError, match="BYPASSRLS"):
        provisioned(scratch)
