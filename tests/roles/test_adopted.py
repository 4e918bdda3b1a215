"""A role that somebody else made: what it held beyond reading is gone, or told, before a run is proved."""

from __future__ import annotations

import threading

import psycopg
import pytest
from django.db import connections

from readonly_router.roles.apply import apply
from readonly_router.roles.prove import prove
from readonly_router.roles.provision import preview
from readonly_router.roles.spec import Actor, Role
from tests.database import Scratch
from tests.roles.provisioning import OFF, command, provisioned, refused, target


@pytest.fixture
def adopted(scratch: Scratch) -> Scratch:
    with scratch.superuser() as connection:
        connection.execute(f"""CREATE ROLE "{scratch.twin}" LOGIN PASSWORD '{scratch.password}'""".encode())
    scratch.run("CREATE TABLE thing (id serial PRIMARY KEY, name text)")
    return scratch


def test_default_privileges_to_write_are_revoked(adopted: Scratch) -> None:
    adopted.run(
        f'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO "{adopted.twin}"',
        f'ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO "{adopted.twin}"',
    )
    assert command(adopted, "--check")[0] == 1
    assert provisioned(adopted).holds
    adopted.run("CREATE TABLE later (id serial)")
    assert refused(adopted, OFF, "INSERT INTO later DEFAULT VALUES") == "42501"
    assert refused(adopted, "SELECT * FROM later") == ""
    assert provisioned(adopted).statements == 0


def test_grant_options_are_revoked_with_what_was_granted_on(adopted: Scratch) -> None:
    adopted.run(f'GRANT SELECT ON thing TO "{adopted.twin}" WITH GRANT OPTION')
    adopted.run(f'GRANT SELECT ON thing TO "{adopted.writer}"', user=adopted.twin)
    assert provisioned(adopted).holds
    assert refused(adopted, OFF, "GRANT SELECT ON thing TO PUBLIC") in {"", "42501"}
    with adopted.superuser() as connection:
        row = connection.execute("SELECT relacl::text FROM pg_class WHERE relname = 'thing'").fetchone()
    assert row is not None
    assert "r*/" not in row[0].partition(adopted.twin)[2].partition(",")[0]
    assert provisioned(adopted).statements == 0


def test_stopped_after_any_statement_it_can_write_no_more_than_before(adopted: Scratch) -> None:
    adopted.run(f'GRANT INSERT, UPDATE ON thing TO "{adopted.twin}"')
    _, plan, _ = preview(target(adopted))
    with adopted.superuser() as connection:
        sessions = {Actor.ADMIN: connection, Actor.WRITER: connection}
        apply(sessions, plan.statements[:1], lambda line: None)
    assert refused(adopted, OFF, "INSERT INTO thing (name) VALUES ('x')") == "42501"


def test_what_nobody_at_hand_may_revoke_is_told_and_the_run_fails(adopted: Scratch) -> None:
    owner = adopted.role("owner")
    with adopted.superuser() as connection:
        connection.execute(f'CREATE SCHEMA theirs AUTHORIZATION "{owner}"'.encode())
        connection.execute(f'GRANT CREATE, USAGE ON SCHEMA theirs TO "{adopted.twin}"'.encode())
    admin = adopted.role("admin", "LOGIN CREATEROLE")
    with adopted.superuser() as connection:
        connection.execute(f'GRANT "{adopted.twin}" TO "{admin}" WITH ADMIN OPTION'.encode())
    status, out, _ = command(adopted, url=adopted.url(admin))
    assert (status, "WRITES, not revoked: revoke CREATE on schema theirs" in out) == (1, True)
    with adopted.superuser() as connection:
        connection.execute(f'REVOKE "{adopted.twin}" FROM "{admin}"'.encode())


def test_a_grant_by_another_grantor_is_told_and_not_revoked_again_and_again(adopted: Scratch) -> None:
    other = adopted.role("other")
    adopted.run(f'GRANT INSERT ON thing TO "{other}" WITH GRANT OPTION')
    adopted.run(f'GRANT INSERT ON thing TO "{adopted.twin}"', user=other)
    report = provisioned(adopted)
    assert not report.holds
    assert [gap.says.endswith(f"as role {other}") for gap in report.plan.gaps if gap.writes] == [True]
    assert provisioned(adopted).statements == 0


def test_system_functions_are_revoked_and_plain_ones_stay(adopted: Scratch) -> None:
    adopted.run(
        "CREATE FUNCTION plain() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "REVOKE EXECUTE ON FUNCTION plain() FROM PUBLIC",
        f'GRANT EXECUTE ON FUNCTION plain() TO "{adopted.twin}"',
    )
    with adopted.superuser() as connection:
        connection.execute(f'GRANT EXECUTE ON FUNCTION pg_read_file(text) TO "{adopted.twin}"'.encode())
    assert provisioned(adopted).holds
    assert refused(adopted, "SELECT pg_read_file('PG_VERSION')") == "42501"
    assert refused(adopted, "SELECT plain()") == ""
    assert command(adopted, "--drop")[0] == 0


def test_the_role_of_a_policy_is_not_half_dropped(adopted: Scratch) -> None:
    provisioned(adopted)
    adopted.run(
        "ALTER TABLE thing ENABLE ROW LEVEL SECURITY",
        f'CREATE POLICY readonly_router ON thing FOR SELECT TO "{adopted.twin}" USING (true)',
    )
    status, _, error = command(adopted, "--drop")
    assert (status, "needed by policy readonly_router" in error) == (1, True)
    assert refused(adopted, "SELECT * FROM thing") == ""
    adopted.run("DROP POLICY readonly_router ON thing")
    assert command(adopted, "--drop")[0] == 0


def test_a_session_that_is_not_the_twins_is_not_probed(adopted: Scratch) -> None:
    wanted = Role(name=adopted.twin, writer=adopted.writer, database=adopted.name)
    with adopted.login(adopted.writer) as writer:
        proof = prove(writer, wanted, ())
    assert (proof.refused, len(proof.landed), proof.holds) == (0, 1, False)


def test_a_path_that_leads_elsewhere_is_told_and_the_run_fails(adopted: Scratch) -> None:
    adopted.run("CREATE SCHEMA one", "CREATE SCHEMA other")
    with adopted.superuser() as connection:
        connection.execute(f'ALTER ROLE "{adopted.twin}" SET search_path = other'.encode())
    report = provisioned(adopted)
    assert report.proof is not None
    assert [gap.says for gap in report.proof.differences] == [
        "search_path is 'other' for the twin and 'public' for the writer"
    ]
    assert not report.holds


def test_the_databases_path_with_the_writers_own_schema_is_the_twins_too(adopted: Scratch) -> None:
    adopted.run(f'CREATE SCHEMA "{adopted.writer}"', "CREATE SCHEMA app")
    with adopted.superuser() as connection:
        path = 'search_path = "$user", app, public'
        connection.execute(f'ALTER DATABASE "{adopted.name}" SET {path}'.encode())
    assert provisioned(adopted).holds
    assert provisioned(adopted).statements == 0


def test_settings_of_the_login_and_not_of_the_assumed_role_are_copied(adopted: Scratch) -> None:
    owner = adopted.role("owner", "NOLOGIN")
    adopted.run("CREATE SCHEMA app")
    with adopted.superuser() as connection:
        connection.execute(f'GRANT "{owner}" TO "{adopted.writer}"'.encode())
        connection.execute(f'ALTER ROLE "{adopted.writer}" SET search_path = app, public'.encode())
        connection.execute(f'ALTER TABLE public.thing OWNER TO "{owner}"'.encode())
        connection.execute(f'GRANT USAGE ON SCHEMA app TO "{owner}"'.encode())
    connections.settings[adopted.alias]["OPTIONS"] = {"assume_role": owner}
    assert provisioned(adopted).holds


def test_a_custom_setting_that_takes_a_superuser_is_told_and_the_run_goes_on(scratch: Scratch) -> None:
    admin = scratch.role("admin", "LOGIN CREATEROLE")
    with scratch.superuser() as connection:
        connection.execute(f"""ALTER ROLE "{scratch.writer}" SET app.tenant = '7'""".encode())
    report = provisioned(scratch, scratch.url(admin))
    assert (report.holds, [gap for gap in report.plan.gaps if "app.tenant" in gap.says] != []) == (True, True)
    assert command(scratch, "--drop", url=scratch.url(admin))[0] == 0


def test_identity_only_tables_are_probed_too(scratch: Scratch) -> None:
    scratch.run("CREATE TABLE only_id (id int GENERATED ALWAYS AS IDENTITY)")
    report = provisioned(scratch)
    assert report.proof is not None
    assert (report.holds, report.proof.refused > 30) == (True, True)


DDL = {
    "foreign key": "ALTER TABLE child ADD CONSTRAINT fk FOREIGN KEY (thing_id) REFERENCES thing DEFERRABLE",
    "trigger": "CREATE TRIGGER t BEFORE UPDATE ON thing FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "alter": "ALTER TABLE thing ADD COLUMN more int",
    "truncate": "TRUNCATE thing, child",
}


@pytest.mark.parametrize("statement", DDL.values(), ids=DDL)
def test_a_migrations_ddl_waits_for_an_open_grant_and_does_not_fail(adopted: Scratch, statement: str) -> None:
    adopted.run("CREATE TABLE child (id int, thing_id int)")
    _, plan, _ = preview(target(adopted))
    grant = next(found for found in plan.statements if found.says.startswith("grant SELECT on 2 relations"))
    failures: list[psycopg.Error] = []

    def migrate() -> None:
        try:
            adopted.run(statement)
        except psycopg.Error as error:
            failures.append(error)

    with adopted.superuser() as connection, adopted.superuser() as observer:
        with connection.transaction():
            for text in (*grant.first, grant.text):
                connection.execute(text)
            migration = threading.Thread(target=migrate)
            migration.start()
            waiting = (
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            while migration.is_alive() and not observer.execute(waiting.encode()).fetchall():
                pass
        migration.join(20)
    assert failures == []


@pytest.mark.parametrize(
    "options",
    [("--check", "--harden"), ("--check", "--rotate-password"), ("--force",), ("--drop", "--schema", "x")],
)
def test_an_option_that_would_be_ignored_is_refused(scratch: Scratch, options: tuple[str, ...]) -> None:
    status, _, error = command(scratch, *options)
    assert (status, "has no effect" in error) == (2, True)


LIMITS = {
    "VALID UNTIL '2901-02-03 04:05 UTC'": "until 2901-02-03 04:05 UTC; ALTER ROLE {} VALID UNTIL 'infinity'",
    "CONNECTION LIMIT 3": "may have 3 sessions, fewer than the writer's; ALTER ROLE {} CONNECTION LIMIT -1",
}


@pytest.mark.parametrize(("limit", "told"), LIMITS.items(), ids=LIMITS)
def test_what_may_keep_it_from_serving_the_site_is_told_with_what_lifts_it(
    adopted: Scratch, limit: str, told: str
) -> None:
    with adopted.superuser() as connection:
        connection.execute(f'ALTER ROLE "{adopted.twin}" {limit}'.encode())
        connection.execute(f"ALTER DATABASE \"{adopted.name}\" SET timezone = 'UTC'".encode())
    status, out, _ = command(adopted)
    assert (status, told.format(f'"{adopted.twin}"') in out) == (0, True)


@pytest.mark.parametrize("setting", ["lock_timeout", "idle_session_timeout", "statement_timeout"])
def test_a_twin_that_is_shorter_of_breath_than_its_writer_is_told(adopted: Scratch, setting: str) -> None:
    with adopted.superuser() as connection:
        connection.execute(f"ALTER ROLE \"{adopted.twin}\" SET {setting} = '7s'".encode())
    status, out, _ = command(adopted)
    assert (status, f"DIFFERS: {setting} is '7000' for the twin and '0' for the writer" in out) == (1, True)
