"""Databases with a trap in them, ready to be switched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from readonly_router.following import followers
from readonly_router.logins import Session
from readonly_router.switch import standing
from readonly_router.switch.events import Log
from tests import database
from tests.database import Scratch
from tests.security import traps
from tests.security.commands import Ran
from tests.switch.stage import prepare


@dataclass(frozen=True, kw_only=True)
class Site:
    """A pair with a trap in its database; `dba` is an admin who is no superuser, `stranger` a third login."""

    scratch: Scratch
    superuser: str
    dba: str
    stranger: str

    @property
    def admins(self) -> set[str]:
        return {self.superuser, self.dba}

    def hindered(self, ran: list[Ran]) -> list[tuple[str, ...]]:
        """Return the commands that did not do their work."""
        with traps.careful(self.scratch) as superuser:
            late = counts_late(superuser)
        return [each.words for each in ran if each.status and not (late and "verify" in each.words)]

    def url(self, admin: str) -> str:
        """Return the URL of an admin."""
        return self.scratch.admin_url if admin == "superuser" else self.scratch.url(self.dba)


@contextmanager
def site(server: str) -> Iterator[Site]:
    """Make a pair with its trap, and the other roles; remove all of it afterwards."""
    others: list[str] = []
    try:
        with database.scratch(server) as scratch:
            prepare(scratch)
            others += scratch.role("dba", "LOGIN CREATEROLE"), scratch.role("stranger")
            made = Site(
                scratch=scratch, superuser=urlsplit(server).username or "", dba=others[0], stranger=others[1]
            )
            _appoint(made)
            roles = (made.superuser, *others, scratch.writer, scratch.twin, "pg_read_all_data")
            traps.set_up(scratch, roles)
            yield made
            with traps.careful(scratch) as superuser:
                # Who was made a member by whom keeps a role from being dropped.
                superuser.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(made.dba)))
    finally:
        followers.forget()
        _dismiss(server, others)


def _appoint(made: Site) -> None:
    """Give the second admin what a host's admin has: to alter the site's roles, to see and to end sessions."""
    with made.scratch.superuser() as superuser:
        dba = sql.Identifier(made.dba)
        superuser.execute(sql.SQL("GRANT pg_signal_backend, pg_monitor TO {}").format(dba))
        if superuser.info.server_version >= 160000:
            for role in (made.scratch.writer, made.scratch.twin):
                grant = "GRANT {} TO {} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"
                superuser.execute(sql.SQL(grant).format(sql.Identifier(role), dba))


def _dismiss(server: str, roles: list[str]) -> None:
    with psycopg.connect(server, autocommit=True) as superuser:
        for role in roles:
            superuser.execute(sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(sql.Identifier(role)))


@pytest.fixture(autouse=True)
def unsettled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the half seconds in which PostgreSQL 14 counts rows; what verify says then is not asked."""
    settled = standing._settled_counters

    def counters(connection: Session, log: Log | None) -> dict[str, int]:
        return (standing._counters if counts_late(connection) else settled)(connection, log)

    monkeypatch.setattr(standing, "_settled_counters", counters)


def counts_late(connection: psycopg.Connection[Any]) -> bool:
    """Return whether the server's statistics come when they come."""
    return connection.info.server_version < 150000


@pytest.fixture
def planted(server: str, django_db_blocker: Any) -> Iterator[Site]:
    """A pair with a trap in its database, in which nothing is planted yet."""
    with django_db_blocker.unblock(), site(server) as made:
        yield made
