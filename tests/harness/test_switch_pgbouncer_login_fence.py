"""`--fence login` while the site goes through PgBouncer, which may let in whom the server does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from readonly_router import is_read_only
from readonly_router.following import followers
from tests import database
from tests.database import Scratch
from tests.harness.pools import lead_through
from tests.harness.switches import make_switchable, read, throw_on
from tests.switch.switching import read_only


@pytest.fixture
def shop(server: str, bouncer: str, django_db_blocker: Any) -> Iterator[Scratch]:
    """A pair behind PgBouncer; each test has its own, for a login that failed there is not tried anew at once."""
    with django_db_blocker.unblock(), database.scratch(server) as made:
        make_switchable(made)
        lead_through(made, bouncer)
        read(made)
        connections.close_all()
        yield made
        connections.close_all()
    followers.forget()


def test_reads_go_on(shop: Scratch) -> None:
    throw_on(shop, fence="login")
    assert (read(shop), is_read_only(shop.alias)) == (True, True)


def test_status_and_off_work(shop: Scratch) -> None:
    throw_on(shop, fence="login")
    status = read_only(shop, "status", "--exit-code")
    off = read_only(shop, "off", "--admin-url", shop.admin_url)
    assert (status.status, off.status) == (1, 0)
