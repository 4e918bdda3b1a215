"""What the twin can read: every kind of relation, of every owner and schema, now and later."""

from __future__ import annotations

import pytest

from readonly_router.roles.provision import check
from tests.database import Scratch
from tests.roles.provisioning import ask, command, provisioned, refused, target

KINDS = {
    "table": "CREATE TABLE thing (id serial PRIMARY KEY, name text)",
    "partitioned table": "CREATE TABLE thing (id int) PARTITION BY RANGE (id)",
    "view": "CREATE VIEW thing AS SELECT 1 AS id",
    "materialized view": "CREATE MATERIALIZED VIEW thing AS SELECT 1 AS id",
    "unlogged table": "CREATE UNLOGGED TABLE thing (id int)",
    "sequence": "CREATE SEQUENCE thing",
}


@pytest.mark.parametrize("statement", KINDS.values(), ids=KINDS)
def test_a_relation_that_stands_is_readable(scratch: Scratch, statement: str) -> None:
    scratch.run(statement)
    report = provisioned(scratch)
    assert report.holds
    assert refused(scratch, "SELECT * FROM thing") == ""


@pytest.mark.parametrize("statement", KINDS.values(), ids=KINDS)
def test_a_relation_that_comes_later_is_readable(scratch: Scratch, statement: str) -> None:
    provisioned(scratch)
    scratch.run(statement)
    assert refused(scratch, "SELECT * FROM thing") == ""


def test_a_later_schema_and_its_tables_are_readable(scratch: Scratch) -> None:
    provisioned(scratch)
    scratch.run("CREATE SCHEMA later", "CREATE TABLE later.thing (id int)")
    assert refused(scratch, "SELECT * FROM later.thing") == ""


def test_a_later_partition_is_readable_directly(scratch: Scratch) -> None:
    scratch.run("CREATE TABLE parts (id int) PARTITION BY RANGE (id)")
    provisioned(scratch)
    scratch.run("CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (9)")
    assert refused(scratch, "SELECT * FROM part") == ""


def test_tables_of_several_owners_are_readable(scratch: Scratch) -> None:
    other = scratch.role("other")
    with scratch.superuser() as connection:
        connection.execute(f'CREATE SCHEMA "{other}" AUTHORIZATION "{other}"'.encode())
        connection.execute(f'CREATE TABLE "{other}".thing (id int)'.encode())
        connection.execute(f'ALTER TABLE "{other}".thing OWNER TO "{other}"'.encode())
    provisioned(scratch)
    assert refused(scratch, f'SELECT * FROM "{other}".thing') == ""


def test_a_later_table_of_another_role_that_may_create_is_readable(scratch: Scratch) -> None:
    other = scratch.role("other")
    with scratch.superuser() as connection:
        connection.execute(f'GRANT CREATE ON SCHEMA public TO "{other}"'.encode())
    provisioned(scratch)
    scratch.run("CREATE TABLE public.theirs (id int)", user=other)
    assert refused(scratch, "SELECT * FROM public.theirs") == ""


def test_last_value_of_a_sequence_is_readable_and_its_next_is_not(scratch: Scratch) -> None:
    scratch.run("CREATE SEQUENCE numbers", "SELECT nextval('numbers')")
    provisioned(scratch)
    assert ask(scratch, "SELECT last_value FROM numbers") == [(1,)]
    assert refused(scratch, "SET default_transaction_read_only = off", "SELECT nextval('numbers')") == "42501"


def test_large_objects_are_readable(scratch: Scratch) -> None:
    scratch.run("SELECT lo_from_bytea(4242, 'kept')")
    provisioned(scratch)
    assert ask(scratch, "SELECT lo_get(4242)") == [(b"kept",)]


def test_objects_of_an_extension_schema_are_usable(scratch: Scratch) -> None:
    scratch.run("CREATE SCHEMA kinds", "CREATE TYPE kinds.mood AS ENUM ('sad', 'glad')")
    scratch.run("CREATE TABLE people (mood kinds.mood)")
    provisioned(scratch)
    assert refused(scratch, "SELECT count(*) FROM people WHERE mood = 'glad'::kinds.mood") == ""


def test_only_the_named_schemas_are_granted(scratch: Scratch) -> None:
    scratch.run("CREATE SCHEMA shown", "CREATE TABLE shown.thing (id int)")
    scratch.run("CREATE SCHEMA hidden", "CREATE TABLE hidden.thing (id int)")
    assert provisioned(scratch, schemas=("shown",)).holds
    scratch.run("CREATE TABLE shown.later (id int)", "CREATE TABLE hidden.later (id int)")
    assert [refused(scratch, f"SELECT * FROM {name}") for name in ("shown.thing", "shown.later")] == ["", ""]
    assert [refused(scratch, f"SELECT * FROM {name}") for name in ("hidden.thing", "hidden.later")] == [
        "42501"
    ] * 2


def test_the_role_is_a_member_of_nothing(scratch: Scratch) -> None:
    provisioned(scratch)
    query = "SELECT count(*) FROM pg_auth_members WHERE member = %s::regrole"
    with scratch.superuser() as connection:
        assert connection.execute(query, [f'"{scratch.twin}"']).fetchone() == (0,)


def test_a_foreign_table_without_a_user_mapping_is_reported_unreadable(scratch: Scratch) -> None:
    with scratch.superuser() as connection:
        if not connection.execute("SELECT FROM pg_available_extensions WHERE name = 'postgres_fdw'").fetchall():
            # The embedded server comes without extensions; a bare wrapper shows the same.
            connection.execute("CREATE FOREIGN DATA WRAPPER bare")
            connection.execute("CREATE SERVER far FOREIGN DATA WRAPPER bare")
        else:
            connection.execute("CREATE EXTENSION postgres_fdw")
            connection.execute("CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1')")
        connection.execute("CREATE FOREIGN TABLE public.distant (id int) SERVER far")
        connection.execute(f'ALTER FOREIGN TABLE public.distant OWNER TO "{scratch.writer}"'.encode())
    report = provisioned(scratch)
    assert not report.holds
    assert report.proof is not None
    assert [gap for gap in report.proof.unreadable if ".distant " in gap.says]


UNLIKE = {
    "a grant on the table": "GRANT INSERT ON odd TO PUBLIC",
    "a grant on a column": "GRANT UPDATE (id) ON odd TO PUBLIC",
    "a grant to a role that the twin is not": 'GRANT INSERT ON odd TO "{writer}" WITH GRANT OPTION',
}


@pytest.mark.parametrize("statement", UNLIKE.values(), ids=UNLIKE)
def test_one_table_among_many_that_is_not_like_the_others_is_judged_by_itself(
    scratch: Scratch, statement: str
) -> None:
    scratch.run(*(f"CREATE TABLE {name} (id int)" for name in ("early", "odd", "late")))
    provisioned(scratch)
    scratch.run(statement.format(writer=scratch.writer))
    proof = check(target(scratch)).proof
    assert proof is not None
    open_to_all = [power.says.partition(" ")[2] for power in proof.landed]
    assert open_to_all == (["on public.odd"] if "PUBLIC" in statement else [])
    assert (proof.readable, proof.unreadable) == (3, ())


def test_one_table_among_many_that_lost_its_grant_is_granted_again(scratch: Scratch) -> None:
    scratch.run(*(f"CREATE TABLE {name} (id int)" for name in ("early", "odd", "late")))
    provisioned(scratch)
    scratch.run(f'REVOKE SELECT ON odd FROM "{scratch.twin}"')
    drift = check(target(scratch))
    assert [gap.says for gap in drift.proof.unreadable] == ["public.odd is not readable: permission denied"]
    assert [text.says for text in drift.plan.statements] == ["grant SELECT on 1 relations"]
    assert provisioned(scratch).statements == 1


def test_relations_of_a_login_that_is_not_the_sites_are_counted_as_not_tried(scratch: Scratch) -> None:
    stranger = scratch.role("stranger")
    with scratch.superuser() as connection:
        connection.execute(f'GRANT CREATE ON SCHEMA public TO "{stranger}"'.encode())
    scratch.run("CREATE TABLE mine (id int)", "CREATE VIEW seen AS SELECT 1 AS id")
    provisioned(scratch)
    scratch.run("CREATE VIEW public.theirs AS SELECT 1 AS id", user=stranger)
    for arguments, outcome in (((), "nothing to do"), (("--check",), "as wanted")):
        status, out, _ = command(scratch, *arguments)
        assert (status, out.splitlines()[0].endswith(f": {outcome}, 1 relations not tried")) == (0, True), out
        assert "relations readable: 2, not readable: 0, not tried: 1" in out
        assert "NOT TRIED, its owner is not of the site: public.theirs" in out
