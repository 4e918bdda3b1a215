"""The switch of a pair behind a pooler or with a standby: thrown by a direct login, followed in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from readonly_router import Receipt, is_read_only, read_only_changed, switch_off, switch_on
from readonly_router.connections.handler import begin_request
from readonly_router.models import Event
from readonly_router.switch import reports
from tests.database import Scratch
from tests.example.shop.models import Tag
from tests.harness.pairs import lead, wait_for
from tests.roles.provisioning import admin, provisioned

# A process follows within a second; what is more is for a busy machine.
FOLLOW_SECONDS = 30


def make_switchable(pair: Scratch) -> None:
    """Make what the switch needs and a table to write to; the pair's aliases lead to its server still."""
    with connections[pair.alias].schema_editor() as editor:
        for model in (Event, Tag):
            editor.create_model(model)
    Tag.objects.using(pair.alias).create(name="kept")
    provisioned(pair)


def throw_on(pair: Scratch, user: str = "", **options: Any) -> Receipt:
    """Switch on by way of a direct login, the superuser's or another role's; return the receipt."""
    way = admin(pair, pair.url(user) if user else "")
    (receipt,) = switch_on(pair.alias, admin=way, **{"grace": 0, "deadline": 20, **options})
    return receipt


def throw_off(pair: Scratch, **options: Any) -> None:
    switch_off(pair.alias, admin=admin(pair), **options)


def verified(pair: Scratch, receipt: Receipt) -> bool:
    """Return whether nothing was written since the receipt; the pair leads to its server from then on.

    Where other databases take transaction ids meanwhile, PostgreSQL 14 cannot tell of a pooler's idle sessions.
    """
    for alias in (pair.alias, pair.twin_alias):
        lead(alias, pair.server)
    with pair.superuser() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    return reports.verify(receipt, admin=admin(pair)).clean


def write(pair: Scratch, name: str) -> None:
    """Write, as a request of its own."""
    begin_request()
    Tag.objects.using(pair.alias).create(name=name)


def read(pair: Scratch) -> bool:
    """Read what is there in every mode, as a request of its own; whatever else comes of it is a failed read."""
    begin_request()
    return Tag.objects.using(pair.alias).filter(name="kept").exists()


def names(pair: Scratch) -> set[str]:
    """Return what was written, as the server itself has it."""
    with pair.superuser() as connection:
        return {name for (name,) in connection.execute("SELECT name FROM shop_tag WHERE name <> 'kept'")}


def wait_until_followed(pair: Scratch, *, on: bool) -> None:
    """Wait until this process follows, which reads meanwhile."""
    wait_for(lambda: read(pair) and is_read_only(pair.alias) is on, seconds=FOLLOW_SECONDS)


@contextmanager
def changes(pair: Scratch) -> Iterator[list[bool]]:
    """Collect what this process is told of the switch, in order."""
    told: list[bool] = []

    def note(*, alias: str, read_only: bool, **_: Any) -> None:
        if alias == pair.alias:
            told.append(read_only)

    read_only_changed.connect(note)
    try:
        yield told
    finally:
        read_only_changed.disconnect(note)
