"""Behind PgBouncer in transaction pooling provisioning goes past it, and marks no session of the site."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from tests import database
from tests.database import Scratch
from tests.harness.pairs import by_way_of, create_readonly_role
from tests.harness.pools import lead_through, pool_size, session
from tests.roles.provisioning import command


@pytest.fixture
def pair(server: str, bouncer: str, django_db_blocker: Any) -> Iterator[Scratch]:
    """A pair whose DATABASES entries lead through PgBouncer; its own URLs are direct."""
    with django_db_blocker.unblock(), database.scratch(server) as made:
        lead_through(made, bouncer)
        yield made


def has_role(pair: Scratch) -> bool:
    with pair.superuser() as connection:
        return connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [pair.twin]).fetchone() is not None


@pytest.mark.parametrize("admin", [False, True], ids=["writer", "admin"])
def test_provisioning_through_the_pooler_is_refused_in_one_line(pair: Scratch, bouncer: str, admin: bool) -> None:
    environ = {name: by_way_of(url, bouncer) for name, url in pair.env.items()}
    if not admin:
        environ["DATABASE_ADMIN_URL"] = ""
    status, lines = create_readonly_role(environ)
    assert (status, len(lines), "--admin-url" in lines[0], has_role(pair)) == (1, 1, True, False)


def test_a_direct_admin_url_provisions_a_site_behind_the_pooler(pair: Scratch) -> None:
    pair.run("CREATE TABLE thing (id int)")
    status, out, _ = command(pair)
    assert (status, "relations readable: 1, not readable: 0" in out) == (0, True)


def test_a_rerun_and_a_check_find_nothing_to_do(pair: Scratch) -> None:
    assert command(pair)[0] == 0
    assert ["nothing to do" in command(pair)[1], command(pair, "--check")[0]] == [True, 0]


def test_nothing_that_provisioning_sets_reaches_the_writers_pool(pair: Scratch, bouncer: str) -> None:
    pair.run("CREATE TABLE thing (id int)")
    before = session(pair, bouncer, pair.writer)
    assert command(pair)[0] == 0
    assert session(pair, bouncer, pair.writer) == before
    assert pool_size(pair, pair.writer) == 1


def test_nothing_that_the_proof_sets_reaches_the_twins_pool(pair: Scratch, bouncer: str) -> None:
    pair.run("CREATE TABLE thing (id int)")
    assert command(pair)[0] == 0
    # The one that the proof used.
    assert pool_size(pair, pair.twin) == 1
    assert session(pair, bouncer, pair.twin)[1:] == ("0", '"$user", public', "on", "none", "0")


def test_a_role_made_by_a_dba_is_proved_through_the_pooler(pair: Scratch) -> None:
    with pair.superuser() as connection:
        connection.execute(f"CREATE ROLE \"{pair.twin}\" LOGIN PASSWORD '{pair.password}'".encode())
    status, out, _ = command(pair)
    assert (status, "writes possible: 0" in out) == (0, True)


def test_a_role_that_the_admin_may_not_alter_sets_its_own_settings(pair: Scratch) -> None:
    with pair.superuser() as connection:
        connection.execute(f"CREATE ROLE \"{pair.twin}\" LOGIN PASSWORD '{pair.password}'".encode())
    assert command(pair, url=pair.url(pair.writer))[0] == 0


def test_a_twin_without_its_setting_marks_no_session_of_the_writers_pool(pair: Scratch, bouncer: str) -> None:
    """Pools are per user: what its connection sets reaches other clients of the twin alone."""
    pair.run("CREATE TABLE thing (id int)")
    with pair.superuser() as connection:
        connection.execute(f"CREATE ROLE \"{pair.twin}\" LOGIN PASSWORD '{pair.password}'".encode())
    before = session(pair, bouncer, pair.writer)
    connections[pair.twin_alias].ensure_connection()
    settings = session(pair, bouncer, pair.twin)[3], session(pair, bouncer, pair.writer)
    assert settings == ("on", before)
