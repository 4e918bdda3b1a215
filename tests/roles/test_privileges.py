"""Who may provision: a superuser, an admin that has CREATEROLE only, or the writer once the role exists."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connections

from readonly_router.roles.provision import provision
from readonly_router.roles.targets import target_for
from tests.database import Scratch
from tests.roles.provisioning import command, provisioned, refused, target


def test_an_admin_with_createrole_only_provisions_with_the_writers_help(scratch: Scratch) -> None:
    scratch.run("CREATE TABLE thing (id serial)")
    admin = scratch.role("admin", "LOGIN CREATEROLE")
    report = provisioned(scratch, scratch.url(admin))
    assert report.holds
    assert refused(scratch, "SELECT * FROM thing") == ""
    assert provisioned(scratch, scratch.url(admin)).statements == 0
    assert command(scratch, "--drop", url=scratch.url(admin))[0] == 0


def test_a_writer_without_createrole_goes_on_when_a_dba_made_the_role(scratch: Scratch) -> None:
    with scratch.superuser() as connection:
        connection.execute(f"""CREATE ROLE "{scratch.twin}" LOGIN PASSWORD '{scratch.password}'""".encode())
    scratch.run("CREATE TABLE thing (id serial)")
    report = provisioned(scratch, scratch.url(scratch.writer))
    assert report.holds
    with scratch.login(scratch.twin) as connection:
        assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)


def test_the_writer_is_the_admin_when_no_other_is_named(scratch: Scratch) -> None:
    with scratch.superuser() as connection:
        connection.execute(f'ALTER ROLE "{scratch.writer}" CREATEROLE'.encode())
    assert provision(target_for(scratch.alias)).holds


def test_a_table_that_nobody_at_hand_may_grant_and_the_writer_reads_is_told(scratch: Scratch) -> None:
    with scratch.superuser() as connection:
        connection.execute(f"""CREATE ROLE "{scratch.twin}" LOGIN PASSWORD '{scratch.password}'""".encode())
        connection.execute("CREATE TABLE public.theirs (id int)")
        connection.execute(f'GRANT SELECT ON public.theirs TO "{scratch.writer}"'.encode())
    report = provisioned(scratch, scratch.url(scratch.writer))
    assert report.proof is not None
    assert [gap.statement for gap in report.proof.unreadable] == [
        f'GRANT SELECT ON public.theirs TO "{scratch.twin}"'
    ]


def test_a_table_that_the_writer_cannot_read_either_is_no_failure(scratch: Scratch) -> None:
    with scratch.superuser() as connection:
        connection.execute(f"""CREATE ROLE "{scratch.twin}" LOGIN PASSWORD '{scratch.password}'""".encode())
        connection.execute("CREATE TABLE public.theirs (id int)")
    assert provisioned(scratch, scratch.url(scratch.writer)).holds


def test_an_assumed_role_owns_what_is_granted(scratch: Scratch) -> None:
    owner = scratch.role("owner", "NOLOGIN")
    with scratch.superuser() as connection:
        connection.execute(f'GRANT "{owner}" TO "{scratch.writer}"'.encode())
        connection.execute(f'GRANT CREATE ON SCHEMA public TO "{owner}"'.encode())
        connection.execute(f'SET ROLE "{owner}"'.encode())
        connection.execute("CREATE TABLE public.thing (id int)")
    connections.settings[scratch.alias]["OPTIONS"] = {"assume_role": owner}
    assert provisioned(scratch).holds
    with scratch.login(scratch.writer) as connection:
        connection.execute(f'SET ROLE "{owner}"'.encode())
        connection.execute("CREATE TABLE public.later (id int)")
    assert [refused(scratch, f"SELECT * FROM {name}") for name in ("public.thing", "public.later")] == ["", ""]


def test_the_server_is_given_a_verifier_and_never_the_password(scratch: Scratch) -> None:
    provisioned(scratch)
    with scratch.superuser() as connection:
        row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [scratch.twin]).fetchone()
    assert row is not None
    assert row[0].startswith("SCRAM-SHA-256$")


def test_rotating_sets_the_password_in_databases(scratch: Scratch) -> None:
    provisioned(scratch)
    with scratch.superuser() as connection:
        connection.execute(f"""ALTER ROLE "{scratch.twin}" PASSWORD 'another'""".encode())
    with pytest.raises(psycopg.OperationalError):
        scratch.login(scratch.twin)
    assert provisioned(scratch, rotate=True).holds
    scratch.login(scratch.twin).close()


@pytest.mark.parametrize("verb", [(), ("--dry-run",), ("--sql",), ("--check",)], ids="".join)
def test_no_output_holds_the_password(scratch: Scratch, verb: tuple[str, ...]) -> None:
    _, out, err = command(scratch, *verb)
    assert scratch.password not in out + err


def test_the_values_of_a_run_do_not_show_secrets(scratch: Scratch) -> None:
    found = target(scratch)
    assert scratch.password not in repr(found)
    assert "SCRAM" not in repr(found)
