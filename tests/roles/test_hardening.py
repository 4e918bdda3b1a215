"""`--harden`: what it takes from PUBLIC and from whom not, what it tells, and how it is undone."""

from __future__ import annotations

import psycopg
import pytest

from tests.database import Scratch
from tests.plugin import PREFIX
from tests.roles.provisioning import OFF, command, provisioned, refused

WRITER_MAKES = (
    "CREATE TABLE shelf (id int PRIMARY KEY, v text)",
    "GRANT ALL ON shelf TO PUBLIC",
    "CREATE TABLE card (id int PRIMARY KEY, stamps int)",
    "GRANT UPDATE (stamps) ON card TO PUBLIC",
    "CREATE SEQUENCE ticket",
    "GRANT ALL ON SEQUENCE ticket TO PUBLIC",
    "CREATE SCHEMA drafts",
    "GRANT USAGE, CREATE ON SCHEMA drafts TO PUBLIC",
    "CREATE TABLE book (id int PRIMARY KEY, copies int)",
    "INSERT INTO book VALUES (1, 0)",
    "CREATE FUNCTION lend(book_id int) RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = public"
    " AS 'UPDATE book SET copies = copies + 1 WHERE id = book_id RETURNING copies'",
    "CREATE VIEW lending AS SELECT lend(1) AS copies",
    "GRANT SELECT ON lending TO PUBLIC",
    "SELECT lo_create(1001)",
    "GRANT ALL ON LARGE OBJECT 1001 TO PUBLIC",
    "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA drafts GRANT ALL ON SEQUENCES TO PUBLIC",
)
SUPERUSER_MAKES = (
    "GRANT CREATE ON SCHEMA public TO {writer}",
    "CREATE FOREIGN DATA WRAPPER nowhere",
    "CREATE SERVER far FOREIGN DATA WRAPPER nowhere",
    "GRANT USAGE ON FOREIGN SERVER far TO PUBLIC",
)

# What anybody may do because PUBLIC may.
DONE_BY_ALL = (
    "CREATE TEMP TABLE mine (id int)",
    "INSERT INTO shelf VALUES (7, 'x') ON CONFLICT DO NOTHING",
    "UPDATE card SET stamps = 1",
    "SELECT nextval('ticket')",
    "CREATE TABLE drafts.mine (id int)",
    "SELECT lend(1)",
    "SELECT * FROM lending",
    "SELECT lo_create(0)",
    "SELECT lo_put(1001, 0, 'x')",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT pg_notify('channel', 'x')",
    "SELECT txid_current()",
    "CREATE FOREIGN TABLE drafts.far (id int) SERVER far",
)


@pytest.fixture
def open_house(scratch: Scratch) -> Scratch:
    """A database in which PUBLIC may do much."""
    with scratch.superuser() as connection:
        for text in SUPERUSER_MAKES:
            connection.execute(text.format(writer=scratch.writer).encode())
    scratch.run(*WRITER_MAKES)
    return scratch


def test_the_twin_can_no_longer_do_what_public_could(open_house: Scratch) -> None:
    provisioned(open_house)
    assert _outcomes(open_house, open_house.twin) == {""}
    provisioned(open_house, harden=True)
    assert _outcomes(open_house, open_house.twin) == {"42501"}


def test_another_role_can_still_do_what_public_could(open_house: Scratch) -> None:
    other = open_house.role("other")
    provisioned(open_house, harden=True)
    assert _outcomes(open_house, other) == {""}


def test_a_role_created_later_cannot(open_house: Scratch) -> None:
    provisioned(open_house, harden=True)
    assert _outcomes(open_house, open_house.role("later")) == {"42501"}


def test_a_table_created_later_is_no_longer_open_to_public(open_house: Scratch) -> None:
    provisioned(open_house, harden=True)
    open_house.run("CREATE TABLE later (id int)", "CREATE SEQUENCE drafts.later")
    assert refused(open_house, OFF, "INSERT INTO later VALUES (1)") == "42501"
    assert refused(open_house, OFF, "SELECT nextval('drafts.later')") == "42501"
    assert refused(open_house, "SELECT * FROM later") == ""


def test_what_it_breaks_is_printed(open_house: Scratch) -> None:
    _, out, _ = command(open_house, "--harden")
    broken = [line.partition(": ")[2] for line in out.splitlines() if "hardening breaks" in line]
    for word in (
        "temporary tables",
        "create objects in schemas",
        "execute these functions",
        "these tables",
        "these sequences",
        "these large objects",
        "these servers",
        "created later",
    ):
        assert any(word in line for line in broken), word


def test_nothing_is_told_to_break_where_nothing_is_taken(open_house: Scratch) -> None:
    provisioned(open_house, harden=True)
    assert provisioned(open_house, harden=True).hardening.breaks == ()


def test_a_second_run_has_nothing_to_do(open_house: Scratch) -> None:
    provisioned(open_house, harden=True)
    report = provisioned(open_house, harden=True)
    assert (report.statements, report.hardening.undo) == (0, ())


def test_a_run_without_it_does_not_undo_it(open_house: Scratch) -> None:
    provisioned(open_house, harden=True)
    assert provisioned(open_house).statements == 0
    assert refused(open_house, OFF, "INSERT INTO shelf VALUES (7, 'x')") == "42501"


def test_the_undo_script_restores_every_privilege(open_house: Scratch) -> None:
    other = open_house.role("other")
    open_house.run(
        f"GRANT INSERT ON shelf TO {other}",
        f"GRANT UPDATE (v) ON shelf TO {other}",
        f"GRANT EXECUTE ON FUNCTION lend(int) TO {other}",
    )
    provisioned(open_house)
    before = _privileges(open_house)
    undo = provisioned(open_house, harden=True).hardening.undo
    assert _privileges(open_house) != before

    with open_house.superuser() as connection:
        connection.execute("SET search_path = ''")
        for text in undo:
            connection.execute(text.encode())

    assert _privileges(open_house) == before


def test_an_admin_that_is_not_superuser_takes_what_it_may_and_tells_the_rest(open_house: Scratch) -> None:
    admin = open_house.role("admin", "LOGIN CREATEROLE")
    report = provisioned(open_house, open_house.url(admin), harden=True)
    assert refused(open_house, OFF, "INSERT INTO shelf VALUES (7, 'x')") == "42501"
    assert refused(open_house, OFF, "CREATE TEMP TABLE mine (id int)") == "42501"
    assert refused(open_house, OFF, "SELECT lend(1)") == "42501"
    assert refused(open_house, OFF, "SELECT lo_create(0)") == ""
    assert report.proof is not None
    left = {power.statement for power in report.proof.powers}
    assert "REVOKE USAGE ON FOREIGN SERVER far FROM PUBLIC" in left
    assert any("lo_create(oid)" in statement for statement in left)


def test_the_statements_that_are_told_close_what_is_left(open_house: Scratch) -> None:
    report = provisioned(open_house)
    assert report.proof is not None
    with open_house.superuser() as connection:
        connection.execute("SET search_path = ''")
        for power in (*report.proof.landed, *report.proof.powers):
            # Other databases belong to other tests, and the server's configuration to its owner.
            if (
                power.statement
                and "CONNECT ON DATABASE" not in power.statement
                and "SYSTEM" not in power.statement
            ):
                connection.execute(power.statement.encode())
    assert _outcomes(open_house, open_house.twin) == {"42501"}


def test_another_database_is_left_alone_and_its_closing_statement_told(open_house: Scratch, server: str) -> None:
    elsewhere = f"{PREFIX}_elsewhere"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {elsewhere}".encode())
        report = provisioned(open_house, harden=True)
        assert report.proof is not None
        statement = f"REVOKE CONNECT ON DATABASE {elsewhere} FROM PUBLIC"
        assert statement in {power.statement for power in report.proof.powers}
        connection.execute(statement.encode())
        query = "SELECT has_database_privilege(%s, %s, 'CONNECT')"
        assert connection.execute(query, [open_house.twin, elsewhere]).fetchone() == (False,)
        connection.execute(f"DROP DATABASE {elsewhere}".encode())


def _outcomes(scratch: Scratch, role: str) -> set[str]:
    """Return how each of the things anybody might do ends for a role; none is committed."""
    return {refused(scratch, OFF, "BEGIN", text, "ROLLBACK", user=role) for text in DONE_BY_ALL}


_ACLS = """
    SELECT 'relation', oid::regclass::text,
            coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))
        FROM pg_class WHERE relkind IN ('r', 'v', 'm', 'p', 'f', 'S')
    UNION ALL SELECT 'column', attrelid::regclass || '.' || attname, attacl FROM pg_attribute
        WHERE attacl IS NOT NULL
    UNION ALL SELECT 'routine', oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc
    UNION ALL SELECT 'schema', nspname, coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace
        WHERE nspname !~ '^pg_(temp|toast)'
    UNION ALL SELECT 'database', datname, coalesce(datacl, acldefault('d', datdba)) FROM pg_database
        WHERE datname = current_database()
    UNION ALL SELECT 'large object', oid::text, coalesce(lomacl, acldefault('L', lomowner))
        FROM pg_largeobject_metadata
    UNION ALL SELECT 'server', srvname, coalesce(srvacl, acldefault('S', srvowner)) FROM pg_foreign_server
    UNION ALL SELECT 'default', concat_ws('|', defaclrole::regrole, defaclnamespace, defaclobjtype), defaclacl
        FROM pg_default_acl"""
_PRIVILEGES = f"""SELECT kind, name, x.grantor::regrole::text, x.grantee::regrole::text, x.privilege_type,
        x.is_grantable FROM ({_ACLS}) a (kind, name, acl), aclexplode(a.acl) x"""


def _privileges(scratch: Scratch) -> set[tuple[object, ...]]:
    """Return every privilege of the database, those that are nobody's explicit grant as well."""
    with scratch.superuser() as connection:
        return set(connection.execute(_PRIVILEGES.encode()).fetchall())
