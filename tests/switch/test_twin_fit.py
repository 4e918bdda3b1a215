"""`on` leaves the site to its twin only where that reads what the writer reads, and can write nothing."""

from __future__ import annotations

import pytest
from psycopg import sql

from tests.database import Scratch
from tests.switch.switching import default_of, events, read_only, state, switched

HIDE = "REVOKE SELECT ON note FROM {twin}"


def execute(pair: Scratch, statement: str) -> None:
    ours = {"twin": pair.twin, "writer": pair.writer, "database": pair.name}
    names = {key: sql.Identifier(name) for key, name in ours.items()}
    with pair.superuser() as superuser:
        superuser.execute(sql.SQL(statement).format(**names))


def test_a_table_that_the_twin_cannot_read_is_refused_before_anything(pair: Scratch) -> None:
    execute(pair, HIDE)
    outcome = read_only(pair, "on")
    assert (outcome.status, default_of(pair), events(pair)) == (1, "off", [])
    assert "cannot read what the site reads: public.note" in outcome.err
    assert "create_readonly_role first, or give --accept-unreadable." in outcome.err


def test_it_may_be_accepted_and_is_told(pair: Scratch) -> None:
    execute(pair, HIDE)
    outcome = read_only(pair, "on", "--accept-unreadable")
    assert (outcome.status, "note: the twin cannot read what the site reads: public.note" in outcome.err) == (
        0,
        True,
    )


def test_a_dry_run_refuses_it_too(pair: Scratch) -> None:
    execute(pair, HIDE)
    assert [
        read_only(pair, "on", "--dry-run", *accepted).status for accepted in ([], ["--accept-unreadable"])
    ] == [1, 0]


@pytest.mark.parametrize(
    "grant",
    [
        "GRANT INSERT ON note TO {twin}",
        "GRANT INSERT (text) ON note TO {twin}",
        "GRANT DELETE ON note TO PUBLIC",
        "ALTER ROLE {twin} RESET default_transaction_read_only",
        "ALTER ROLE {twin} NOINHERIT; GRANT {writer} TO {twin}",
        "GRANT postgres TO {twin}",
        "SELECT lo_create(815); GRANT UPDATE ON LARGE OBJECT 815 TO PUBLIC",
        "ALTER DATABASE {database} SET lo_compat_privileges = on",
    ],
)
def test_a_twin_that_can_write_is_never_accepted(pair: Scratch, grant: str) -> None:
    execute(pair, grant)
    try:
        outcome = read_only(pair, "on", "--accept-unreadable")
    finally:
        execute(pair, "ALTER ROLE {twin} INHERIT")
    assert (outcome.status, "so read-only would be a lie" in outcome.err) == (1, True)
    assert (default_of(pair), events(pair)) == ("off", [])


def test_on_once_more_tells_of_it_and_changes_nothing(pair: Scratch) -> None:
    receipt = switched(pair)
    execute(pair, HIDE)
    outcome = read_only(pair, "on")
    assert (outcome.status, "note: the twin cannot read" in outcome.err) == (0, True)
    assert (state(pair).proved, state(pair).event, events(pair)) == (True, receipt.event, ["on"])
