"""The rarer paths of provisioning, each on a real server."""

from __future__ import annotations

import io
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import override_settings

from readonly_router import ProvisioningError
from readonly_router.roles import apply as applying
from readonly_router.roles import drop as dropping
from readonly_router.roles import provision as provisioning
from readonly_router.roles.apply import apply
from readonly_router.roles.provision import check, preview
from readonly_router.roles.spec import Actor
from tests.database import Scratch, forget
from tests.roles.provisioning import ask, command, provisioned, refused, target


def test_the_variable_names_the_admin(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_ADMIN_URL", scratch.admin_url)
    out = io.StringIO()
    call_command("create_readonly_role", database=[scratch.alias], stdout=out, stderr=io.StringIO())
    assert "writes possible: 0" in out.getvalue()


def test_every_pair_is_provisioned_when_none_is_named(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    second = {**connections.settings[scratch.twin_alias], "USER": f"{scratch.twin}2"}
    connections.settings["second"] = connections.settings[scratch.alias]
    connections.settings["second_twin"] = second
    monkeypatch.setenv("DATABASE_ADMIN_URL", scratch.admin_url)
    out = io.StringIO()
    try:
        with override_settings(READONLY_ROUTER_PAIRS={scratch.alias: scratch.twin_alias, "second": "second_twin"}):
            call_command("create_readonly_role", stdout=out, stderr=io.StringIO())
            call_command("create_readonly_role", drop=True, stdout=io.StringIO(), stderr=io.StringIO())
    finally:
        for alias in ("second", "second_twin"):
            forget(alias)
            del connections.settings[alias]
    assert out.getvalue().count("writes possible: 0") == 2


def test_a_transaction_that_stays_open_ends_the_command_with_1(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provisioning, "WAIT_SECONDS", 0.1)
    with scratch.login(scratch.writer) as writer:
        writer.execute("BEGIN")
        writer.execute("CREATE TABLE across (id int)")
        status, _, error = command(scratch)
    assert (status, "Still open" in error) == (1, True)


def test_what_nobody_at_hand_may_do_is_printed_with_its_statement(scratch: Scratch) -> None:
    other = scratch.role("other")
    with scratch.superuser() as connection:
        connection.execute(f'CREATE SCHEMA theirs AUTHORIZATION "{other}"'.encode())
        connection.execute(f"""CREATE ROLE "{scratch.twin}" LOGIN PASSWORD '{scratch.password}'""".encode())
    _, out, _ = command(scratch, url=scratch.url(scratch.writer))
    for objects in ("SELECT ON TABLES", "SELECT ON SEQUENCES", "USAGE ON SCHEMAS"):
        assert f'ALTER DEFAULT PRIVILEGES FOR ROLE "{other}" GRANT {objects} TO "{scratch.twin}";' in out
    assert f'GRANT USAGE ON SCHEMA "theirs" TO "{scratch.twin}";' in out


def test_the_statements_printed_for_another_schema_are_of_that_schema(scratch: Scratch) -> None:
    other = scratch.role("other")
    with scratch.superuser() as connection:
        connection.execute(f'CREATE SCHEMA theirs AUTHORIZATION "{other}"'.encode())
        connection.execute(f"""CREATE ROLE "{scratch.twin}" LOGIN PASSWORD '{scratch.password}'""".encode())
    plan = provisioned(scratch, scratch.url(scratch.writer), schemas=("theirs",)).plan
    defaults = [gap.statement for gap in plan.gaps if gap.statement.startswith("ALTER DEFAULT")]
    assert [f'FOR ROLE "{other}" IN SCHEMA "theirs" GRANT' in text for text in defaults] == [True, True]


def test_the_statements_printed_for_what_is_not_readable_or_is_written_mend_it(scratch: Scratch) -> None:
    scratch.run("CREATE SCHEMA hidden", "CREATE TABLE hidden.thing (id serial)", "CREATE SEQUENCE numbers")
    provisioned(scratch)
    scratch.run(
        f'REVOKE USAGE ON SCHEMA hidden FROM "{scratch.twin}"',
        f'REVOKE SELECT ON SEQUENCE hidden.thing_id_seq FROM "{scratch.twin}"',
        "GRANT USAGE ON SEQUENCE numbers TO PUBLIC",
    )
    proof = check(target(scratch)).proof
    assert proof is not None
    statements = {gap.statement for gap in proof.unreadable} | {power.statement for power in proof.landed}
    usage = f'GRANT USAGE ON SCHEMA "hidden" TO "{scratch.twin}"'
    assert statements == {
        usage,
        f'{usage}; GRANT SELECT ON SEQUENCE hidden.thing_id_seq TO "{scratch.twin}"',
        f'REVOKE USAGE ON SEQUENCE public.numbers FROM PUBLIC, "{scratch.twin}"',
    }
    scratch.run(*statements)
    assert check(target(scratch)).holds


def test_a_statement_without_a_login_is_an_error_that_names_it(scratch: Scratch) -> None:
    _, plan, _ = preview(target(scratch))
    with pytest.raises(ProvisioningError, match="No login at hand may create role"):
        apply({}, plan.statements, lambda line: None)


def test_a_statement_that_postgres_refuses_is_told_in_one_line(scratch: Scratch) -> None:
    scratch.run("CREATE TABLE thing (id int)")
    _, plan, _ = preview(target(scratch))
    with scratch.login(scratch.writer) as writer:
        with pytest.raises(ProvisioningError, match=r"Could not create role .*permission denied") as error:
            apply({Actor.ADMIN: writer, Actor.WRITER: writer}, plan.statements, lambda line: None)
    assert "\n" not in str(error.value)


def test_a_lock_that_is_never_freed_ends_the_run(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "ATTEMPTS", 2)
    scratch.run("CREATE TABLE thing (id int)")
    with scratch.login(scratch.writer) as writer:
        writer.execute("BEGIN")
        writer.execute("LOCK TABLE thing IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(ProvisioningError, match="lock timeout"):
            provisioned(scratch)
    assert provisioned(scratch).holds


def test_objects_that_keep_disappearing_end_the_run(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "ROUNDS", 1)
    scratch.run("CREATE TABLE thing (id int)")
    run = applying._once

    def vanish(connection: psycopg.Connection, statement: object) -> None:
        scratch.run("DROP TABLE IF EXISTS thing")
        run(connection, statement)  # type: ignore[arg-type]

    monkeypatch.setattr(applying, "_once", vanish)
    with pytest.raises(ProvisioningError, match="keep disappearing"):
        provisioned(scratch)


def test_connect_is_granted_where_public_lost_it(scratch: Scratch) -> None:
    with scratch.superuser() as connection:
        connection.execute(f'REVOKE CONNECT ON DATABASE "{scratch.name}" FROM PUBLIC'.encode())
        connection.execute(f'GRANT CONNECT ON DATABASE "{scratch.name}" TO "{scratch.writer}"'.encode())
    assert provisioned(scratch).holds


def test_a_role_that_lost_its_login_gets_it_back(scratch: Scratch) -> None:
    provisioned(scratch)
    with scratch.superuser() as connection:
        connection.execute(f'ALTER ROLE "{scratch.twin}" NOLOGIN'.encode())
    assert provisioned(scratch, rotate=True).holds


def test_the_writer_is_never_dropped(scratch: Scratch) -> None:
    wanted = target(scratch)
    object.__setattr__(wanted, "role", type(wanted.role)(name=scratch.writer, writer=scratch.writer, database="x"))
    with pytest.raises(ProvisioningError, match="the writer itself"):
        dropping.drop(wanted)


def test_sessions_that_do_not_end_stop_the_drop(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    provisioned(scratch)
    monkeypatch.setattr(dropping.catalog, "end_sessions", lambda *args: None)
    monkeypatch.setattr(dropping, "END_SECONDS", 0.1)
    with scratch.login(scratch.twin):
        status, _, error = command(scratch, "--drop", "--force")
    assert (status, "do not end" in error) == (1, True)
    assert provisioned(scratch).statements == 0


def test_a_view_dropped_while_it_is_proved_is_no_failure(scratch: Scratch) -> None:
    scratch.run("CREATE TABLE base (id int)", "CREATE VIEW seen AS SELECT * FROM base")
    assert provisioned(scratch).holds


def test_a_materialized_view_without_data_is_no_failure(scratch: Scratch) -> None:
    scratch.run("CREATE MATERIALIZED VIEW later AS SELECT 1 AS id WITH NO DATA")
    assert provisioned(scratch).holds


def test_an_event_trigger_is_told_with_the_statement_that_ends_it(scratch: Scratch) -> None:
    with scratch.superuser() as connection:
        connection.execute("CREATE FUNCTION public.noted() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'")
        connection.execute("CREATE EVENT TRIGGER noting ON ddl_command_end EXECUTE FUNCTION public.noted()")
    _, out, _ = command(scratch)
    assert "ALTER EVENT TRIGGER noting DISABLE;" in out


def test_a_role_named_in_default_privileges_is_not_an_owner(scratch: Scratch) -> None:
    provisioned(scratch)
    with scratch.superuser() as connection:
        entry = f'FOR ROLE "{scratch.twin}" GRANT SELECT ON TABLES TO "{scratch.writer}"'
        connection.execute(f"ALTER DEFAULT PRIVILEGES {entry}".encode())
    assert provisioned(scratch).holds
    assert command(scratch, "--drop")[0] in {0, 1}


def test_a_role_that_may_create_only_as_public_gets_no_entry(scratch: Scratch) -> None:
    stranger = scratch.role("stranger")
    with scratch.superuser() as connection:
        connection.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        provisioned(scratch)
        row = connection.execute(
            "SELECT count(*) FROM pg_default_acl WHERE defaclrole = %s::regrole", [f'"{stranger}"']
        ).fetchone()
    assert row == (0,)


def test_the_script_may_harden_too(scratch: Scratch, tmp_path: Path) -> None:
    status, script, _ = command(scratch, "--sql", "--harden")
    assert (status, "REVOKE TEMPORARY" in script, "-- undo: GRANT TEMPORARY" in script) == (0, True, True)


def test_a_dry_run_of_the_hardening_says_what_breaks(scratch: Scratch) -> None:
    status, out, _ = command(scratch, "--dry-run", "--harden")
    assert (status, "hardening breaks:" in out, "undo script" in out) == (0, True, True)
    assert refused(scratch, "SELECT 1", user=scratch.writer) == ""


def test_a_writer_without_password_needs_none_for_the_twin(scratch: Scratch) -> None:
    """Peer, certificate or password-file logins: nothing is put into the role."""
    entry, twin = connections.settings[scratch.alias], connections.settings[scratch.twin_alias]
    entry["OPTIONS"], twin["OPTIONS"] = {"password": entry["PASSWORD"]}, {"password": twin["PASSWORD"]}
    entry["PASSWORD"] = twin["PASSWORD"] = ""
    with pytest.raises(ProvisioningError, match="Cannot log in as the twin"):
        provisioned(scratch)
    with scratch.superuser() as connection:
        connection.execute(f"""ALTER ROLE "{scratch.twin}" PASSWORD '{scratch.password}'""".encode())
    assert provisioned(scratch).holds
    assert ask(scratch, "SELECT 1") == [(1,)]


def test_an_unknown_alias_of_call_command_is_an_error(scratch: Scratch) -> None:
    with pytest.raises(CommandError, match="no writer"):
        call_command("create_readonly_role", database=["nowhere"], stdout=io.StringIO(), stderr=io.StringIO())
