"""The command's verbs: what it prints and how it exits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.database import Scratch
from tests.psql import pg_dump, psql
from tests.roles.provisioning import command, provisioned, refused

ROOT = Path(__file__).parents[2]
SCHEMA = (
    "CREATE SCHEMA extra",
    "CREATE TABLE extra.thing (id serial)",
    "CREATE VIEW extra.seen AS SELECT 1 AS id",
)


def test_a_run_prints_counts(scratch: Scratch) -> None:
    scratch.run(*SCHEMA)
    status, out, _ = command(scratch)
    assert status == 0
    assert "relations readable: 3, not readable: 0" in out
    assert "writes possible: 0" in out


def test_every_power_left_is_printed_with_the_statement_that_ends_it(scratch: Scratch) -> None:
    _, out, _ = command(scratch)
    assert f"REVOKE TEMPORARY ON DATABASE {scratch.name} FROM PUBLIC;" in out
    powers = out.partition("powers left")[2].splitlines()[1:]
    assert all(line.endswith((";", "(nothing removes it)")) for line in powers)


def test_a_second_run_says_that_there_is_nothing_to_do(scratch: Scratch) -> None:
    command(scratch)
    status, out, _ = command(scratch)
    assert (status, "nothing to do" in out) == (0, True)


def test_a_dry_run_prints_the_plan_and_changes_nothing(scratch: Scratch) -> None:
    scratch.run(*SCHEMA)
    status, out, _ = command(scratch, "--dry-run")
    assert (status, f"create role {scratch.twin}" in out) == (0, True)
    assert command(scratch, "--check")[0] == 1


def test_check_lists_what_drifted_and_exits_1(scratch: Scratch) -> None:
    scratch.run(*SCHEMA)
    provisioned(scratch)
    scratch.run(f'REVOKE SELECT ON extra.thing FROM "{scratch.twin}"')
    status, out, error = command(scratch, "--check")
    assert (status, "to do: grant SELECT on 1 relations" in out, "differs" in error) == (1, True, True)


def test_check_exits_0_when_all_is_as_wanted(scratch: Scratch) -> None:
    provisioned(scratch)
    status, out, _ = command(scratch, "--check")
    assert (status, "as wanted" in out) == (0, True)


def test_check_before_the_role_exists_exits_1(scratch: Scratch) -> None:
    assert command(scratch, "--check")[0] == 1


def test_a_privilege_that_public_holds_is_a_write_and_the_run_is_not_proved(scratch: Scratch) -> None:
    scratch.run("CREATE TABLE open (id int)", "GRANT INSERT ON open TO PUBLIC")
    status, out, error = command(scratch)
    assert (status, "WRITES: INSERT on public.open" in out, "not proved" in error) == (1, True, True)


def test_the_script_run_by_psql_leaves_nothing_to_do(scratch: Scratch, tmp_path: Path) -> None:
    scratch.run(*SCHEMA, "SELECT lo_create(7)")
    status, script, _ = command(scratch, "--sql")
    assert status == 0
    file = tmp_path / "role.sql"
    file.write_text(script)
    result = psql(scratch.admin_url, "-v", "ON_ERROR_STOP=1", "-q", "-f", str(file))
    assert (result.returncode, result.stderr) == (0, "")
    assert provisioned(scratch).statements == 0


def test_the_script_needs_no_admin(scratch: Scratch) -> None:
    scratch.run(*SCHEMA)
    status, script, _ = command(scratch, "--sql", url=scratch.url(scratch.writer))
    assert (status, "CREATE ROLE" in script) == (0, True)


def manage(scratch: Scratch, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "tests/example/manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **scratch.env, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_process_exits_1_with_one_line_for_a_users_mistake(scratch: Scratch) -> None:
    result = manage(scratch, "create_readonly_role", DATABASE_ADMIN_URL="postgres://nobody:secret@127.0.0.1:1/x")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("CommandError: Cannot log in as the admin")
    assert result.stderr.count("\n") == 1
    assert "secret" not in result.stderr


def test_the_process_runs_while_the_site_is_read_only(scratch: Scratch) -> None:
    result = manage(scratch, "create_readonly_role", DB_READ_ONLY="1")
    assert (result.returncode, result.stderr.count("Traceback")) == (0, 0)


def test_a_dump_as_the_twin_holds_every_row(scratch: Scratch) -> None:
    scratch.run(*SCHEMA, "INSERT INTO extra.thing DEFAULT VALUES", "SELECT lo_from_bytea(7, 'kept')")
    provisioned(scratch)
    result = pg_dump(scratch.url(scratch.twin))
    assert (result.returncode, result.stderr) == (0, "")
    assert "COPY extra.thing" in result.stdout


@pytest.mark.parametrize("verbs", [("--sql", "--check"), ("--drop", "--dry-run")])
def test_two_verbs_at_once_are_refused(scratch: Scratch, verbs: tuple[str, str]) -> None:
    assert command(scratch, *verbs)[0] == 1


def test_a_view_that_calls_a_definer_function_is_told_as_a_power(scratch: Scratch) -> None:
    scratch.run(
        "CREATE TABLE log (id int)",
        "CREATE FUNCTION note() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = public"
        " AS 'INSERT INTO log VALUES (1) RETURNING 1'",
        "CREATE VIEW noted AS SELECT note()",
    )
    _, out, _ = command(scratch)
    assert "(security definer): REVOKE EXECUTE ON ROUTINE public.note() FROM PUBLIC;" in out
    assert refused(scratch, "SELECT * FROM noted") == "25006"
