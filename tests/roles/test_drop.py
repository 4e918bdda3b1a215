"""`--drop`: everything that was granted is taken back, then the role goes; never under a running session."""

from __future__ import annotations

import psycopg
import pytest

from readonly_router.mark import SWITCH_LOCK
from tests.database import Scratch
from tests.plugin import url_for
from tests.roles.provisioning import command, provisioned, refused
from tests.roles.test_refusals import is_one_line
from tests.switch.conftest import fresh_pair
from tests.switch.switching import read_only, switched

__all__ = ["fresh_pair"]

SCHEMA = (
    "CREATE SCHEMA extra",
    "CREATE TABLE extra.thing (id serial)",
    "SELECT lo_create(7)",
    "CREATE VIEW seen AS SELECT 1 AS id",
)


def traces(scratch: Scratch) -> int:
    """How many things in the server still refer to the role, and the role itself."""
    with scratch.superuser() as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_roles r LEFT JOIN pg_shdepend d ON d.refobjid = r.oid WHERE r.rolname = %s",
            [scratch.twin],
        ).fetchone()
    return row[0] if row else 0


def test_a_provisioned_role_is_dropped_without_a_trace(scratch: Scratch) -> None:
    scratch.run(*SCHEMA)
    provisioned(scratch)
    status, out, _ = command(scratch, "--drop")
    assert (status, "dropped" in out, traces(scratch)) == (0, True, 0)


def test_a_role_that_is_not_there_is_told(scratch: Scratch) -> None:
    status, out, _ = command(scratch, "--drop")
    assert (status, "nothing to drop" in out) == (0, True)


def test_a_role_in_use_is_not_dropped(scratch: Scratch) -> None:
    scratch.run(*SCHEMA)
    provisioned(scratch)
    with scratch.login(scratch.twin) as session:
        status, _, error = command(scratch, "--drop")
        assert (status, "in use by 1 session" in error) == (1, True)
        assert session.execute("SELECT count(*) FROM extra.thing").fetchone() == (0,)


def test_force_ends_its_sessions_first(scratch: Scratch) -> None:
    provisioned(scratch)
    session = scratch.login(scratch.twin)
    status, _, _ = command(scratch, "--drop", "--force")
    assert (status, traces(scratch)) == (0, 0)
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")


def test_a_role_that_another_database_needs_loses_only_what_it_holds_here(scratch: Scratch) -> None:
    scratch.run(*SCHEMA)
    provisioned(scratch)
    other = f"{scratch.name}_other"
    with scratch.superuser() as connection:
        connection.execute(f'CREATE DATABASE "{other}"'.encode())
        connection.execute(f'GRANT TEMPORARY ON DATABASE "{other}" TO "{scratch.twin}"'.encode())
        with psycopg.connect(url_for(scratch.server, database=other), autocommit=True) as elsewhere:
            elsewhere.execute(f'GRANT SELECT ON pg_class TO "{scratch.twin}"'.encode())
        status, _, error = command(scratch, "--drop")
        assert (status, f"it holds privileges in database {other} too" in error) == (0, True)
        assert refused(scratch, "SELECT * FROM extra.thing") == "42501"
        connection.execute(f'DROP DATABASE "{other}"'.encode())
        assert command(scratch, "--drop")[0] == 0
    assert traces(scratch) == 0


def test_a_role_that_another_database_needs_may_log_in_there_after_its_sessions_were_ended(
    scratch: Scratch,
) -> None:
    provisioned(scratch)
    other = f"{scratch.name}_other"
    with scratch.superuser() as connection:
        connection.execute(f'CREATE DATABASE "{other}"'.encode())
        connection.execute(f'GRANT TEMPORARY ON DATABASE "{other}" TO "{scratch.twin}"'.encode())
        with psycopg.connect(url_for(scratch.server, database=other), autocommit=True) as elsewhere:
            elsewhere.execute(f'GRANT SELECT ON pg_class TO "{scratch.twin}"'.encode())
        with scratch.login(scratch.twin):
            status, _, error = command(scratch, "--drop", "--force")
        assert (status, "keep role" in error) == (0, True)
        can_log_in = "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s"
        assert connection.execute(can_log_in, [scratch.twin]).fetchone() == (True,)
        connection.execute(f'DROP DATABASE "{other}"'.encode())


def test_a_role_that_owns_something_is_not_dropped(scratch: Scratch) -> None:
    provisioned(scratch)
    with scratch.superuser() as connection:
        connection.execute("CREATE TABLE public.theirs (id int)")
        connection.execute(f'ALTER TABLE public.theirs OWNER TO "{scratch.twin}"'.encode())
        status, _, error = command(scratch, "--drop")
        connection.execute("DROP TABLE public.theirs")
    assert (status, "owns" in error) == (1, True)


def test_an_admin_that_may_not_drop_is_told_and_nothing_is_revoked(scratch: Scratch) -> None:
    scratch.run(*SCHEMA)
    provisioned(scratch)
    status, _, error = command(scratch, "--drop", url=scratch.url(scratch.writer))
    assert (status, "may not drop" in error) == (1, True)
    assert provisioned(scratch).statements == 0


def test_an_admin_that_may_not_end_sessions_leaves_the_role_as_it_was(scratch: Scratch) -> None:
    admin = scratch.role("admin", "LOGIN CREATEROLE")
    provisioned(scratch, scratch.url(admin))
    with scratch.superuser() as connection:
        before = connection.execute(
            "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [scratch.twin]
        ).fetchone()
        with scratch.login(scratch.twin):
            status, _, error = command(scratch, "--drop", "--force", url=scratch.url(admin))
        after = connection.execute(
            "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [scratch.twin]
        ).fetchone()
    assert (status, "pg_signal_backend" in error) == (1, True)
    assert before == after == (True,)
    assert command(scratch, "--drop", url=scratch.admin_url)[0] == 0


FORCED = pytest.mark.parametrize("force", [(), ("--force",)], ids=["plain", "forced"])


@FORCED
def test_the_role_is_not_dropped_while_the_switch_is_on(fresh_pair: Scratch, force: tuple[str, ...]) -> None:
    """The whole site reads as it: every page would fail, and stay so."""
    switched(fresh_pair)
    with fresh_pair.login(fresh_pair.twin) as session:
        status, _, error = command(fresh_pair, "--drop", *force)
        assert (status, is_one_line(error), "read_only off" in error) == (1, True, True)
        assert session.execute("SELECT count(*) FROM note").fetchone() == (0,)
    assert read_only(fresh_pair, "off").status == 0
    assert (command(fresh_pair, "--drop", "--force")[0], traces(fresh_pair)) == (0, 0)


@FORCED
def test_the_role_is_not_dropped_while_the_switch_is_thrown(scratch: Scratch, force: tuple[str, ...]) -> None:
    provisioned(scratch)
    with scratch.superuser() as thrower:
        thrower.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [SWITCH_LOCK])
        status, _, error = command(scratch, "--drop", *force)
    assert (status, is_one_line(error), "pg_terminate_backend(" in error) == (1, True, True)
    assert traces(scratch) > 0
