"""A PgBouncer that logs everybody in as one user makes the twin the writer, which must be found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.db import DatabaseError, connections

from readonly_router import ConfigurationError, read_only
from readonly_router.checks.pairs import check_twins
from tests import database
from tests.database import Scratch
from tests.example.shop.models import Tag
from tests.harness.pairs import lead
from tests.harness.pgbouncer import pooler
from tests.roles.provisioning import command, provisioned


@pytest.fixture
def pair(server: str, django_db_blocker: Any) -> Iterator[Scratch]:
    """A provisioned pair behind a PgBouncer whose entry for its database names the writer's login."""
    with django_db_blocker.unblock(), database.scratch(server) as made:
        made.run("CREATE TABLE thing (id int)")
        provisioned(made)
        with connections[made.alias].schema_editor() as editor:
            editor.create_model(Tag)
        host, port = (connections.settings[made.alias][key] for key in ("HOST", "PORT"))
        line = f"{made.name} = host={host} port={port} user={made.writer} password={made.password}"
        logins = {made.writer: made.password, made.twin: made.password}
        with pooler(server, databases=line, logins=logins) as bouncer:
            for alias in (made.alias, made.twin_alias):
                lead(alias, bouncer)
            yield made
            connections.close_all()


def test_provisioning_finds_whose_login_it_is(pair: Scratch) -> None:
    status, out, _ = command(pair)
    assert (status, f"the twin's login is role '{pair.writer}'" in out) == (1, True)


def test_the_system_check_finds_whose_login_it_is(pair: Scratch) -> None:
    found = check_twins(databases=[pair.alias])
    assert "readonly_router.W021" in [message.id for message in found]


def test_no_write_lands_in_read_only_mode(pair: Scratch) -> None:
    with read_only(), pytest.raises((DatabaseError, ConfigurationError)):
        Tag.objects.using(pair.alias).create(name="refused")
    with pair.superuser() as connection:
        assert connection.execute("SELECT count(*) FROM shop_tag").fetchone() == (0,)


def test_a_read_only_process_leaves_the_writers_pool_writable(pair: Scratch) -> None:
    """Another process of the site, in normal mode, is handed the same server connection next."""
    with read_only(), suppress(DatabaseError, ConfigurationError):
        Tag.objects.using(pair.alias).count()
    connections.close_all()
    Tag.objects.using(pair.alias).create(name="written")
