"""Roles beside the writer: what the switch covers, what it names as not covered, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connections
from psycopg import sql

from readonly_router.mark import MARKS
from tests.database import Scratch
from tests.harness.pairs import lead
from tests.harness.servers import Servers
from tests.switch.switching import (
    SETTING,
    default_of,
    events,
    notes,
    read_only,
    spelt,
    state,
    switched,
    transaction,
)

pytestmark = pytest.mark.usefixtures("unsettled")

GRANTS = {
    "a table's owner": "ALTER TABLE note OWNER TO {role}",
    "a grantee": "GRANT INSERT ON note TO {role}",
    "a grantee of a column": "GRANT UPDATE (text) ON note TO {role}",
    "a grantee of a sequence": "GRANT USAGE ON SEQUENCE note_id_seq TO {role}",
    "a sequence's owner": "CREATE SEQUENCE other; ALTER SEQUENCE other OWNER TO {role}",
    "a materialized view's owner": (
        "CREATE MATERIALIZED VIEW seen AS SELECT now(); ALTER MATERIALIZED VIEW seen OWNER TO {role};"
        "GRANT SELECT ON seen TO PUBLIC"
    ),
    "a member of the writer": "GRANT {writer} TO {role}",
    "a member of pg_write_all_data": "GRANT pg_write_all_data TO {role}",
}


def execute(pair: Scratch, text: str, **names: str) -> None:
    """Execute a statement as the superuser, with names in it."""
    with pair.superuser() as superuser:
        superuser.execute(sql.SQL(text).format(**{key: sql.Identifier(name) for key, name in names.items()}))


@pytest.mark.parametrize("grant", GRANTS.values(), ids=GRANTS)
def test_another_login_that_may_write_is_named_as_not_covered(pair: Scratch, grant: str) -> None:
    other = pair.role("other")
    execute(pair, grant, **{"role": other, **({"writer": pair.writer} if "{writer}" in grant else {})})
    receipt = switched(pair)
    assert (other in receipt.uncovered, other in state(pair).uncovered) == (True, True)
    assert f"login '{other}' may write and is not covered by the switch" in read_only(pair, "status").out


@pytest.mark.parametrize("grant", ["GRANT MAINTAIN ON seen TO {role}", "GRANT pg_maintain TO {role}"])
def test_a_login_that_may_refresh_is_named_from_postgresql_17_on(pair: Scratch, grant: str) -> None:
    other = pair.role("other")
    execute(pair, "CREATE MATERIALIZED VIEW seen AS SELECT now(); GRANT SELECT ON seen TO PUBLIC")
    with pair.superuser() as superuser:
        may_refresh = superuser.info.server_version >= 170000
    if may_refresh:
        execute(pair, grant, role=other)
    assert (other in switched(pair).uncovered) is may_refresh


def test_a_login_that_may_write_as_a_member_of_a_member_is_named(pair: Scratch) -> None:
    group, other = pair.role("group", "NOLOGIN NOINHERIT"), pair.role("other")
    execute(pair, "GRANT {writer} TO {group}", writer=pair.writer, group=group)
    execute(pair, "GRANT {group} TO {role}", group=group, role=other)
    assert other in switched(pair).uncovered


def test_a_login_that_may_read_alone_is_not_named(pair: Scratch) -> None:
    other = pair.role("other")
    execute(pair, "GRANT SELECT ON note TO {role}", role=other)
    execute(pair, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    assert other not in switched(pair).uncovered


def test_everybody_is_named_where_public_may_write(pair: Scratch) -> None:
    other = pair.role("other")
    execute(pair, "GRANT INSERT ON note TO PUBLIC")
    assert other in state(pair).uncovered


def test_the_receipt_in_words_names_what_is_not_covered(pair: Scratch) -> None:
    other = pair.role("other")
    execute(pair, "GRANT INSERT ON note TO {role}", role=other)
    out = read_only(pair, "on").out
    assert f"NOT COVERED: login {other} may write here; name it with --writer" in out
    assert "not bound by anything: superusers postgres" in out


def test_a_member_that_became_the_writer_is_not_drained_but_named(pair: Scratch) -> None:
    """PostgreSQL shows who logged in, not who a session is by SET ROLE: only the name can be claimed."""
    member = pair.role("member")
    execute(pair, "GRANT {writer} TO {role}", writer=pair.writer, role=member)
    with pair.login(member) as session:
        session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(pair.writer)))
        receipt = switched(pair)
        session.execute("INSERT INTO note (text) VALUES ('member')")
    assert (member in receipt.uncovered, notes(pair)) == (True, 1)


def test_a_writer_that_became_another_role_is_drained(pair: Scratch) -> None:
    other = pair.role("other")
    execute(pair, "GRANT {role} TO {writer}", writer=pair.writer, role=other)
    with pair.login(pair.writer) as session:
        session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(other)))
        assert switched(pair).ended == 1


# -- --writer


def test_further_writers_are_fenced_drained_and_listed(pair: Scratch) -> None:
    other = pair.role("other")
    execute(pair, "GRANT INSERT ON note TO {role}", role=other)
    with pair.login(other) as idle:
        receipt = switched(pair, "--writer", other, "--admin-url", pair.admin_url)
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
    assert (receipt.roles, receipt.ended, default_of(pair, other)) == ((pair.writer, other), 1, "on")
    assert other not in receipt.uncovered


def test_off_opens_further_writers_too(pair: Scratch) -> None:
    other = pair.role("other")
    switched(pair, "--writer", other, "--admin-url", pair.admin_url)
    read_only(pair, "off", "--admin-url", pair.admin_url)
    assert (default_of(pair), default_of(pair, other)) == ("off", "off")


def test_a_further_writers_transaction_is_waited_for(pair: Scratch) -> None:
    other = pair.role("other")
    execute(pair, "GRANT ALL ON note, note_id_seq TO {role}", role=other)
    with transaction(pair, other):
        outcome = read_only(pair, "on", "--writer", other, "--admin-url", pair.admin_url, "--deadline", "200ms")
    assert (outcome.status, f"of '{other}'" in outcome.err) == (3, True)
    assert (default_of(pair), default_of(pair, other)) == ("off", "off")


def test_a_writer_that_does_not_exist_is_refused(pair: Scratch) -> None:
    outcome = read_only(pair, "on", "--writer", "nobody_at_all")
    assert (outcome.status, "Role 'nobody_at_all' does not exist" in outcome.err) == (1, True)
    assert events(pair) == []


def test_the_twin_cannot_be_fenced(pair: Scratch) -> None:
    outcome = read_only(pair, "on", "--writer", pair.twin, "--admin-url", pair.admin_url)
    assert (outcome.status, "which is to be fenced" in outcome.err, events(pair)) == (1, True, [])


@pytest.mark.parametrize(
    ("grants", "words"),
    [
        ((), "may not see the sessions of '{other}'"),
        (("pg_monitor",), "may not end the sessions of '{other}'"),
        (("pg_signal_backend",), "may not see the sessions of '{other}'"),
    ],
)
def test_a_writer_whose_sessions_cannot_be_seen_or_ended_is_refused(
    pair: Scratch, grants: tuple[str, ...], words: str
) -> None:
    other = pair.role("other")
    for grant in grants:
        execute(pair, f"GRANT {grant} TO {{writer}}", writer=pair.writer)
    outcome = read_only(pair, "on", "--writer", other)
    assert (outcome.status, words.format(other=other) in outcome.err) == (1, True)
    assert (events(pair), spelt(pair)) == ([], [])


def test_a_login_that_acts_as_a_group_is_told_what_to_grant_to_it(pair: Scratch) -> None:
    group, other = pair.role("group", "NOLOGIN"), pair.role("other")
    names = {"group": group, "writer": pair.writer}
    execute(pair, "GRANT {group} TO {writer}", **names)
    execute(pair, "ALTER ROLE {writer} SET role = {group}", **names)
    execute(pair, "GRANT ALL ON ALL TABLES IN SCHEMA public TO {group}", group=group)
    advised = []
    for right in ("pg_monitor", "pg_signal_backend"):
        err = read_only(pair, "on", "--writer", other).err
        advised.append(f'GRANT {right} TO "{group}"' in err)
        execute(pair, f"GRANT {right} TO {{group}}", group=group)
    assert (advised, events(pair)) == ([True, True], [])
    err = read_only(pair, "on").err
    assert f"Role '{group}', as which this command acts, may not alter '{pair.writer}'; name a login" in err
    assert read_only(pair, "on", "--admin-url", pair.admin_url).status == 0


def operator(pair: Scratch, *grants: str) -> str:
    """Make a login that may alter the writer and write events, and is a member of neither; return its URL."""
    name = pair.role("operator", "LOGIN CREATEROLE")
    with pair.superuser() as superuser:
        if superuser.info.server_version >= 160000:
            execute(
                pair,
                "GRANT {writer} TO {role} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
                writer=pair.writer,
                role=name,
            )
    execute(pair, "GRANT ALL ON readonly_router_event, readonly_router_event_id_seq TO {role}", role=name)
    for grant in grants:
        execute(pair, f"GRANT {grant} TO {{role}}", role=name)
    return pair.url(name)


@pytest.mark.parametrize(
    ("grants", "words"),
    [((), "may not see the sessions"), (("pg_monitor",), "may not end the sessions")],
)
def test_an_operator_that_cannot_see_or_end_the_writers_sessions_is_refused(
    pair: Scratch, grants: tuple[str, ...], words: str
) -> None:
    outcome = read_only(pair, "on", "--admin-url", operator(pair, *grants))
    assert (outcome.status, words in outcome.err, events(pair)) == (1, True, [])


def test_an_operator_needs_no_right_on_the_sites_tables(pair: Scratch) -> None:
    url = operator(pair, "pg_monitor", "pg_signal_backend")
    execute(pair, "REVOKE ALL ON readonly_router_event FROM {role}", role=urlsplit(url).username or "")
    verbs = ("on", "status", "verify", "off")
    assert [read_only(pair, verb, "--admin-url", url).status for verb in verbs] == [0, 0, 0, 0]
    assert (default_of(pair), events(pair)) == ("off", ["on", "off"])


def test_an_operator_that_is_no_superuser_may_switch(pair: Scratch) -> None:
    url = operator(pair, "pg_monitor", "pg_signal_backend")
    with pair.login(pair.writer):
        assert switched(pair, "--admin-url", url).ended == 1
    assert read_only(pair, "off", "--admin-url", url).status == 0
    assert default_of(pair) == "off"


def test_a_session_that_becomes_hidden_during_the_drain_holds_out(pair: Scratch) -> None:
    """What can no longer be seen is never counted as drained."""
    url = operator(pair, "pg_monitor", "pg_signal_backend")
    role = urlsplit(url).username
    with transaction(pair) as held, pair.superuser() as superuser:
        superuser.execute(
            "CREATE FUNCTION hide() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
            f" 'BEGIN REVOKE pg_monitor FROM \"{role}\"; RETURN NULL; END'".encode()
        )
        superuser.execute(
            "CREATE TRIGGER hide AFTER INSERT ON readonly_router_event FOR EACH ROW EXECUTE FUNCTION hide()"
        )
        outcome = read_only(pair, "on", "--admin-url", url, "--deadline", "300ms")
        held.execute("COMMIT")
    assert (outcome.status, "in a state that cannot be seen" in outcome.err) == (3, True)


# -- a site whose login changes


@contextmanager
def next_login(pair: Scratch) -> Iterator[str]:
    """Let the site log in as another member of its group, as a secrets manager has it; return its name."""
    name, entry = pair.role("lease"), connections.settings[pair.alias]
    execute(pair, "GRANT {writer} TO {role}", writer=pair.writer, role=name)
    before = {key: entry[key] for key in ("USER", "PASSWORD")}
    url = urlsplit(pair.url(name))
    entry.update(USER=name, PASSWORD=url.password or "")
    try:
        yield name
    finally:
        entry.update(before)


def test_the_login_of_before_that_is_still_closed_is_named(pair: Scratch) -> None:
    switched(pair)
    with next_login(pair) as name:
        out = read_only(pair, "status", "--admin-url", pair.admin_url).out
        assert f"the last on closed {pair.writer}, and '{name}', which this site logs in as by now, is open" in out
        assert state(pair).fenced == (pair.writer,)


def test_off_by_the_next_login_opens_what_the_one_before_closed(pair: Scratch) -> None:
    switched(pair)
    with next_login(pair):
        assert read_only(pair, "off", "--admin-url", pair.admin_url).status == 0
    assert (spelt(pair), default_of(pair)) == ([], "off")


def test_on_by_the_next_login_closes_both_and_off_opens_both(pair: Scratch) -> None:
    switched(pair)
    with next_login(pair) as name:
        assert switched(pair, "--admin-url", pair.admin_url).roles == (name, pair.writer)
        assert (default_of(pair), default_of(pair, name)) == ("on", "on")
        assert read_only(pair, "off", "--admin-url", pair.admin_url).status == 0
    assert spelt(pair) == []


def test_off_by_a_login_that_may_not_open_the_one_before_fails(pair: Scratch) -> None:
    switched(pair)
    with next_login(pair):
        outcome = read_only(pair, "off")
    assert (outcome.status, default_of(pair)) == (1, "on")


def test_another_sites_switch_in_this_database_is_named_and_left(pair: Scratch) -> None:
    other = pair.role("other")
    with pair.superuser() as superuser:
        superuser.execute(
            f'ALTER ROLE "{other}" IN DATABASE "{pair.name}" SET {SETTING} = \'{MARKS[0]}\''.encode()
        )
    assert f"left to it: {other}" in read_only(pair, "status").out
    assert state(pair).others == (other,)
    switched(pair)
    assert f"left closed, for no event of this site's tells of them: {other}" in read_only(pair, "off").err
    assert (default_of(pair), default_of(pair, other)) == ("off", "on")


# -- the writer and the twin themselves


@pytest.mark.parametrize("scratch", [{"writer_options": "SUPERUSER"}], indirect=True)
def test_what_a_superuser_can_bypass_is_said(fresh_pair: Scratch) -> None:
    pair = fresh_pair
    outcome = read_only(pair, "on")
    assert (outcome.status, default_of(pair)) == (0, "on")
    assert f"'{pair.writer}' is superuser: its sessions begin read-only too, but nothing keeps" in outcome.err
    assert f"'{pair.writer}' is superuser" in read_only(pair, "status").out


def test_a_missing_twin_is_refused(pair: Scratch) -> None:
    execute(pair, "DROP OWNED BY {twin}", twin=pair.twin)
    execute(pair, "DROP ROLE {twin}", twin=pair.twin)
    outcome = read_only(pair, "on")
    assert (outcome.status, events(pair), default_of(pair)) == (1, [], "off")
    assert "run manage.py create_readonly_role, or give its password" in outcome.err


def test_a_twin_that_is_the_writer_is_refused(pair: Scratch) -> None:
    connections.settings[pair.twin_alias]["USER"] = pair.writer
    outcome = read_only(pair, "on")
    assert (outcome.status, events(pair), default_of(pair)) == (1, [], "off")
    assert f"The twin '{pair.twin_alias}' logs in as '{pair.writer}', which is to be fenced" in outcome.err


def test_an_admin_of_another_server_is_refused(pair: Scratch, own_server: str) -> None:
    outcome = read_only(pair, "on", "--admin-url", own_server)
    assert (outcome.status, events(pair), default_of(pair)) == (1, [], "off")


def test_a_standby_is_refused(pair_with_standby: Scratch, with_standby: Servers) -> None:
    pair = pair_with_standby
    receipt = switched(pair)
    with_standby.catch_up()
    lead(pair.alias, with_standby.standby)
    refused = {verb: read_only(pair, verb) for verb in ("on", "off", "verify")}
    lead(pair.alias, with_standby.primary)
    assert {verb: outcome.status for verb, outcome in refused.items()} == {"on": 1, "off": 1, "verify": 1}
    assert all("leads to a standby" in outcome.err for outcome in refused.values())
    assert switched(pair) == receipt


def test_a_login_that_may_not_ask_for_the_servers_identifier_is_refused_before_anything(
    fresh_pair: Scratch,
) -> None:
    with own_grants_of("pg_control_system()", fresh_pair):
        outcome = read_only(fresh_pair, "on")
    assert (outcome.status, default_of(fresh_pair), events(fresh_pair)) == (1, "off", [])
    assert "GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO" in outcome.err


@contextmanager
def own_grants_of(function: str, pair: Scratch) -> Iterator[None]:
    """Take a function from PUBLIC in this database for the length of the block."""
    with pair.superuser() as superuser:
        superuser.execute(f"REVOKE EXECUTE ON FUNCTION pg_catalog.{function} FROM PUBLIC".encode())
        try:
            yield
        finally:
            superuser.execute(f"GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO PUBLIC".encode())
