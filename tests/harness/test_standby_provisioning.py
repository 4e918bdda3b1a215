"""A twin on a streaming standby is provisioned on the primary, and proved where it reads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from readonly_router import read_only
from readonly_router.connections import meeting
from readonly_router.databases import parse_url
from readonly_router.errors import ProvisioningError
from readonly_router.roles import provision
from readonly_router.roles.drop import drop
from readonly_router.roles.targets import target_for
from tests import database
from tests.database import Scratch
from tests.harness.pairs import by_way_of, create_readonly_role, lead, wait_for
from tests.harness.servers import Servers
from tests.roles.provisioning import provisioned


@pytest.fixture
def pair(servers: Servers, django_db_blocker: Any) -> Iterator[Scratch]:
    """A pair whose writer is on the primary and whose twin is on the standby."""
    with django_db_blocker.unblock(), database.scratch(servers.primary) as made:
        lead(made.twin_alias, servers.standby)
        servers.catch_up()
        yield made


def may_read(servers: Servers, pair: Scratch) -> bool:
    """Return whether the primary knows that the twin may read the table `thing`."""
    with pair.superuser() as connection:
        query = "SELECT has_table_privilege(oid, 'public.thing', 'SELECT') FROM pg_roles WHERE rolname = %s"
        return connection.execute(query, [pair.twin]).fetchone() == (True,)


def last_query(servers: Servers, pair: Scratch, *, on_standby: bool = True) -> str | None:
    """Return what the twin's session sent last; empty when it sent nothing."""
    query = "SELECT query FROM pg_stat_activity WHERE usename = %s AND backend_type = 'client backend'"
    answer: str | None = servers.ask(query, pair.twin, on_standby=on_standby)
    return answer


# -- the standby takes no grants


@pytest.mark.parametrize(
    ("writer", "admin", "says"),
    [
        ("standby", "", "The server is a standby"),
        ("standby", "standby", "The server is a standby"),
        ("primary", "standby", "leads to another server"),
        ("standby", "primary", "leads to another server"),
    ],
)
def test_provisioning_on_the_standby_is_refused_in_one_line(
    pair: Scratch, servers: Servers, writer: str, admin: str, says: str
) -> None:
    places = {"primary": servers.primary, "standby": servers.standby}
    environ = {
        **pair.env,
        "DATABASE_URL": by_way_of(pair.url(pair.writer), places[writer]),
        "DATABASE_ADMIN_URL": by_way_of(pair.admin_url, places[admin]) if admin else "",
    }
    status, lines = create_readonly_role(environ)
    assert (status, len(lines), says in lines[0]) == (1, 1, True)


@pytest.mark.parametrize("verb", ["--check", "--dry-run", "--sql", "--drop"])
def test_every_verb_is_refused_on_the_standby(pair: Scratch, servers: Servers, verb: str) -> None:
    provisioned(pair)
    lead(pair.alias, servers.standby)
    admin = parse_url({"URL": by_way_of(pair.admin_url, servers.standby)}, "URL")
    verbs = {
        "--check": provision.check,
        "--dry-run": provision.preview,
        "--sql": lambda target: provision.preview(target, dba=True),
        "--drop": drop,
    }
    with pytest.raises(ProvisioningError, match="is a standby"):
        verbs[verb](target_for(pair.alias, admin=admin))


# -- provisioning waits for the standby


def test_provisioning_waits_for_the_role_on_the_standby_and_proves_it_there(
    pair: Scratch, servers: Servers
) -> None:
    pair.run("CREATE TABLE thing (id int)")
    with ThreadPoolExecutor(1) as threads:
        with servers.standby_behind():
            run = threads.submit(provisioned, pair)
            wait_for(lambda: run.done() or may_read(servers, pair))
            assert not run.done()
        report = run.result()
    assert (report.holds, report.proof.readable) == (True, 1)


def test_provisioning_waits_for_the_grants_on_the_standby(pair: Scratch, servers: Servers) -> None:
    pair.run("CREATE TABLE thing (id int)")
    provisioned(pair)
    pair.run(f'REVOKE SELECT ON thing FROM "{pair.twin}"')
    servers.catch_up()
    with ThreadPoolExecutor(1) as threads:
        with servers.standby_behind():
            run = threads.submit(provisioned, pair)
            # Its login is there already, so that it gets as far as asking.
            wait_for(lambda: run.done() or "pg_last_wal_replay_lsn" in (last_query(servers, pair) or ""))
            assert not run.done()
        report = run.result()
    assert (report.holds, report.proof.readable) == (True, 1)


def test_a_standby_that_stays_behind_is_told(
    pair: Scratch, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    provisioned(pair)
    pair.run("CREATE TABLE thing (id int)")
    monkeypatch.setattr(provision, "WAIT_SECONDS", 0.2)
    with servers.standby_behind():
        pair.run("CREATE TABLE after (id int)")
        with pytest.raises(ProvisioningError, match="lags behind"):
            provisioned(pair)


def test_a_role_that_the_standby_does_not_know_yet_is_no_wrong_password(pair: Scratch, servers: Servers) -> None:
    with ThreadPoolExecutor(1) as threads:
        with servers.standby_behind():
            with pair.superuser() as connection:
                connection.execute(f"CREATE ROLE \"{pair.twin}\" LOGIN PASSWORD '{pair.password}'".encode())
            run = threads.submit(provisioned, pair)
            settings = "SELECT rolconfig IS NOT NULL FROM pg_roles WHERE rolname = %s"
            wait_for(lambda: run.done() or servers.ask(settings, pair.twin))
            assert not run.done()
        assert run.result().holds


def test_a_role_made_by_a_dba_gets_its_settings_on_the_primary(pair: Scratch, servers: Servers) -> None:
    with pair.superuser() as connection:
        connection.execute(f"CREATE ROLE \"{pair.twin}\" LOGIN PASSWORD '{pair.password}'".encode())
    servers.catch_up()
    assert provision.provision(target_for(pair.alias)).holds


# -- connecting


@pytest.fixture
def unset(pair: Scratch, servers: Servers) -> Scratch:
    """A pair whose role has no read-only setting, and a time zone that Django need not set."""
    with pair.superuser() as connection:
        connection.execute(f"CREATE ROLE \"{pair.twin}\" LOGIN PASSWORD '{pair.password}'".encode())
        connection.execute(f"ALTER ROLE \"{pair.twin}\" SET timezone = 'UTC'".encode())
    servers.catch_up()
    return pair


def test_nothing_is_sent_to_a_standby_at_connect_once_it_is_known_where_it_leads(
    unset: Scratch, servers: Servers
) -> None:
    # Outside the switch's reach: a process that follows may have a question due.
    meeting.forget()
    with read_only():
        connections[unset.twin_alias].ensure_connection()
        assert "pg_control_system" in str(last_query(servers, unset))
        connections[unset.twin_alias].close()
        wait_for(lambda: last_query(servers, unset) is None)
        connections[unset.twin_alias].ensure_connection()
    assert last_query(servers, unset) == ""


def test_a_primary_whose_role_lost_its_setting_is_sent_one_statement(unset: Scratch, servers: Servers) -> None:
    """What the test before this one would see if the standby were not noticed."""
    lead(unset.twin_alias, servers.primary)
    connections[unset.twin_alias].ensure_connection()
    assert last_query(servers, unset, on_standby=False) != ""
