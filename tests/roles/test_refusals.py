"""What provisioning refuses: one line that names the thing, exit status 1, nothing changed."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from django.db import connections
from django.test import override_settings

from readonly_router import mode
from readonly_router.conf import ProcessMode
from readonly_router.roles.catalog import inspect
from readonly_router.roles.plan import refusals
from readonly_router.roles.spec import Role
from tests.database import Scratch
from tests.embedded import embedded_server
from tests.roles.provisioning import command, provisioned, refused


def fingerprint(scratch: Scratch) -> list[object]:
    """What provisioning could change in the catalogs."""
    with scratch.superuser() as connection:
        return [
            connection.execute(query.encode()).fetchall()
            for query in (
                "SELECT rolname, rolsuper, rolcreatedb, rolpassword FROM pg_authid ORDER BY 1",
                "SELECT * FROM pg_db_role_setting ORDER BY 1, 2",
                "SELECT defaclrole, defaclacl::text FROM pg_default_acl ORDER BY 1",
                "SELECT oid, relacl::text FROM pg_class ORDER BY 1",
                "SELECT oid, nspacl::text FROM pg_namespace ORDER BY 1",
                "SELECT x::text FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) x"
                " WHERE datname = current_database() ORDER BY 1",
            )
        ]


def is_one_line(text: str) -> bool:
    return bool(text.strip()) and "\n" not in text.strip()


def make_twin(scratch: Scratch, options: str = "") -> None:
    with scratch.superuser() as connection:
        connection.execute(
            f"""CREATE ROLE "{scratch.twin}" LOGIN PASSWORD '{scratch.password}' {options}""".encode()
        )


@pytest.mark.parametrize("attribute", ["SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION"])
def test_a_role_with_a_dangerous_attribute_is_not_adopted(scratch: Scratch, attribute: str) -> None:
    make_twin(scratch, attribute)
    before = fingerprint(scratch)
    status, _, error = command(scratch)
    assert (status, is_one_line(error), attribute in error) == (1, True, True)
    assert fingerprint(scratch) == before


def test_a_role_that_owns_something_is_not_adopted(scratch: Scratch) -> None:
    make_twin(scratch)
    with scratch.superuser() as connection:
        connection.execute("CREATE TABLE public.theirs (id int)")
        connection.execute(f'ALTER TABLE public.theirs OWNER TO "{scratch.twin}"'.encode())
    status, _, error = command(scratch)
    with scratch.superuser() as connection:
        connection.execute("DROP TABLE public.theirs")
    assert (status, is_one_line(error), "owns table public.theirs" in error) == (1, True, True)


def test_a_member_of_another_role_is_not_adopted(scratch: Scratch) -> None:
    make_twin(scratch)
    with scratch.superuser() as connection:
        connection.execute(f'GRANT "{scratch.writer}" TO "{scratch.twin}"'.encode())
    status, _, error = command(scratch)
    assert (status, is_one_line(error), "is a member of" in error) == (1, True, True)


def test_the_writer_is_not_its_own_twin(scratch: Scratch) -> None:
    connections.settings[scratch.twin_alias]["USER"] = scratch.writer
    before = fingerprint(scratch)
    status, _, error = command(scratch)
    assert (status, is_one_line(error), "itself" in error) == (1, True, True)
    assert fingerprint(scratch) == before


def test_an_admin_without_createrole_is_told_of_the_script(scratch: Scratch) -> None:
    before = fingerprint(scratch)
    status, _, error = command(scratch, url=scratch.url(scratch.writer))
    assert (status, is_one_line(error), "CREATEROLE" in error, "--sql" in error) == (1, True, True, True)
    assert fingerprint(scratch) == before


def test_a_wrong_admin_password_is_one_line_without_it(scratch: Scratch) -> None:
    status, _, error = command(scratch, url=scratch.url(scratch.writer, "wrong-password"))
    assert (status, is_one_line(error), "password authentication failed" in error) == (1, True, True)
    assert "wrong-password" not in error


def test_an_unreachable_server_is_one_line(scratch: Scratch) -> None:
    status, _, error = command(scratch, url="postgres://somebody:secret@127.0.0.1:1/nowhere")
    assert (status, is_one_line(error), "secret" in error) == (1, True, False)


def test_a_malformed_admin_url_is_one_line_without_it(scratch: Scratch) -> None:
    status, _, error = command(scratch, url="postgres://somebody:secret@host:port/name")
    assert (status, is_one_line(error), "secret" in error) == (1, True, False)


def test_the_twins_wrong_password_is_told_with_the_way_to_rotate_it(scratch: Scratch) -> None:
    make_twin(scratch)
    with scratch.superuser() as connection:
        connection.execute(f"""ALTER ROLE "{scratch.twin}" PASSWORD 'another'""".encode())
    before = fingerprint(scratch)
    status, _, error = command(scratch)
    assert (status, is_one_line(error), "--rotate-password" in error) == (1, True, True)
    assert fingerprint(scratch) == before


def test_a_standby_is_refused(scratch: Scratch) -> None:
    """The rule alone; the harness in docker/ runs the command against a real standby."""
    wanted = Role(name=scratch.twin, writer=scratch.writer, database=scratch.name)
    with scratch.superuser() as connection:
        state = replace(inspect(connection, wanted), in_recovery=True)
    assert "standby" in next(refusals(wanted, state))


def test_an_unknown_schema_is_refused(scratch: Scratch) -> None:
    status, _, error = command(scratch, "--schema", "nowhere")
    assert (status, is_one_line(error), "'nowhere'" in error) == (1, True, True)


def test_an_alias_that_is_no_writer_is_refused(scratch: Scratch) -> None:
    status, _, error = command(scratch, "--database", "elsewhere")
    assert (status, is_one_line(error), "'elsewhere'" in error) == (1, True, True)


def test_a_twin_without_password_is_refused(scratch: Scratch) -> None:
    connections.settings[scratch.twin_alias]["PASSWORD"] = ""
    status, _, error = command(scratch)
    assert (status, is_one_line(error), "DB_READONLY_PASSWORD" in error) == (1, True, True)


def test_a_twin_without_user_is_refused(scratch: Scratch) -> None:
    connections.settings[scratch.twin_alias]["USER"] = ""
    status, _, error = command(scratch)
    assert (status, is_one_line(error), "USER" in error) == (1, True, True)


def test_a_missing_alias_is_refused(scratch: Scratch) -> None:
    with override_settings(READONLY_ROUTER_PAIRS={scratch.alias: "absent"}):
        status, _, error = command(scratch)
    assert (status, is_one_line(error), "'absent'" in error) == (1, True, True)


def test_a_locked_process_is_refused(scratch: Scratch) -> None:
    mode.set_process(ProcessMode.LOCKED)
    status, _, error = command(scratch)
    assert (status, is_one_line(error), "locked" in error) == (1, True, True)


def test_another_servers_admin_is_refused(scratch: Scratch, server: str) -> None:
    with embedded_server() as elsewhere:
        with psycopg.connect(elsewhere, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{scratch.name}"'.encode())
            connection.execute(f"""CREATE ROLE "{scratch.writer}" LOGIN PASSWORD '{scratch.password}'""".encode())
        status, _, error = command(scratch, url=elsewhere)
    assert (status, is_one_line(error), "another server" in error) == (1, True, True)


def test_several_pairs_are_all_refused_when_one_is(scratch: Scratch) -> None:
    """The shop's pair stands first; the scratch pair is the one that must not be provisioned."""
    make_twin(scratch, "CREATEDB")
    before = fingerprint(scratch)
    with override_settings(READONLY_ROUTER_PAIRS={scratch.alias: scratch.twin_alias}):
        status, _, _ = command(scratch)
    assert status == 1
    assert fingerprint(scratch) == before


EXCESS = {
    "insert": 'GRANT INSERT, TRUNCATE ON thing TO "{twin}"',
    "column": 'GRANT UPDATE (name) ON thing TO "{twin}"',
    "sequence": 'GRANT USAGE, UPDATE ON SEQUENCE thing_id_seq TO "{twin}"',
    "schema": 'GRANT CREATE ON SCHEMA mine TO "{twin}"',
    "database": 'GRANT CREATE, TEMPORARY ON DATABASE "{name}" TO "{twin}"',
    "large object": 'GRANT UPDATE ON LARGE OBJECT 7 TO "{twin}"',
    "function": 'GRANT EXECUTE ON FUNCTION sd() TO "{twin}"',
}


@pytest.mark.parametrize("statement", EXCESS.values(), ids=EXCESS)
def test_what_an_existing_role_holds_beyond_reading_is_revoked(scratch: Scratch, statement: str) -> None:
    scratch.run(
        "CREATE SCHEMA mine",
        "CREATE TABLE thing (id serial, name text)",
        "SELECT lo_create(7)",
        "CREATE FUNCTION sd() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "REVOKE EXECUTE ON FUNCTION sd() FROM PUBLIC",
    )
    provisioned(scratch)
    clean = fingerprint(scratch)
    scratch.run(statement.format(twin=scratch.twin, name=scratch.name))
    assert command(scratch, "--check")[0] == 1
    assert provisioned(scratch).statements == 1
    assert fingerprint(scratch) == clean


def test_a_role_that_could_write_is_refused_once_provisioned(scratch: Scratch) -> None:
    scratch.run("CREATE TABLE thing (id int)")
    make_twin(scratch)
    scratch.run(f'GRANT ALL ON thing TO "{scratch.twin}"')
    provisioned(scratch)
    assert refused(scratch, "SET default_transaction_read_only = off", "INSERT INTO thing VALUES (1)") == "42501"
