"""Which pair is to be provisioned, and how each of its three logins is reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from django.db import connections

from .. import conf, logins, mode
from ..conf import ProcessMode
from ..errors import ProvisioningError
from ..place import Place, is_same
from .apply import Sessions
from .spec import Actor, Role

# What is asked of the catalogs takes less time than to start parallel workers or to compile.
PLAIN_PLANS = "SELECT set_config('jit', 'off', false), set_config('max_parallel_workers_per_gather', '0', false)"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One pair to provision: the wanted role, and how each login is reached (libpq parameters).

    `server` tells which server the writer's login leads to.
    """

    writer_alias: str
    twin_alias: str
    role: Role
    admin: Mapping[str, Any] = field(repr=False)
    writer: Mapping[str, Any] = field(repr=False)
    twin: Mapping[str, Any] = field(repr=False)
    # The twin's login where the role lives: DATABASES may lead to a standby or through a pooler.
    twin_on_primary: Mapping[str, Any] = field(repr=False)
    server: Place
    assumed: str = ""
    own_admin: bool = False


def target_for(
    writer_alias: str,
    *,
    admin: Mapping[str, Any] | None = None,
    schemas: tuple[str, ...] | None = None,
    rotate: bool = False,
) -> Target:
    """Return what to provision for a pair, asking the writer's own login who it is.

    `admin` is a DATABASES entry of the login that may create roles; without it the writer's own is used.
    """
    twin_alias = _twin_of(writer_alias)
    _refuse_unusable(writer_alias, twin_alias)
    writer, twin = (connections.settings[alias] for alias in (writer_alias, twin_alias))
    reach, twin_reach = logins.parameters(writer, writer_alias), logins.parameters(twin, twin_alias)
    assumed = writer["OPTIONS"].get("assume_role") or ""
    with logins.connect(f"the writer '{writer_alias}'", reach) as connection:
        role = _wanted_role(connection, twin, assumed)
        server = logins.place_of(connection)
    role = replace(role, schemas=schemas, rotate=rotate)
    way = reach if admin is None else {**logins.parameters(dict(admin), writer_alias), "dbname": role.database}
    return Target(
        writer_alias=writer_alias,
        twin_alias=twin_alias,
        role=role,
        admin=way,
        writer=logins.by_way_of(way, reach),
        twin=twin_reach,
        twin_on_primary=logins.by_way_of(way, twin_reach),
        server=server,
        assumed=assumed,
        own_admin=admin is None,
    )


def _twin_of(writer_alias: str) -> str:
    twin_alias = conf.twins().get(writer_alias)
    if twin_alias is None:
        pairs = ", ".join(conf.twins()) or "none"
        raise ProvisioningError(f"'{writer_alias}' is no writer of READONLY_ROUTER_PAIRS (writers: {pairs}).")
    return twin_alias


def _wanted_role(connection: psycopg.Connection[Any], twin: Mapping[str, Any], assumed: str) -> Role:
    # What its sessions start with: this one's own path is empty.
    path = "(SELECT reset_val FROM pg_settings WHERE name = 'search_path')"
    query = f"SELECT current_user::text, current_database(), session_user::text, {path}"
    user, database, login, path = connection.execute(query.encode()).fetchone() or ("", "", "", "")
    return Role(
        name=twin["USER"],
        writer=assumed or user,
        database=database,
        login=login,
        search_path=path,
        verifier=logins.scram_verifier(connection, twin["PASSWORD"], twin["USER"]),
    )


def _refuse_unusable(writer_alias: str, twin_alias: str) -> None:
    for alias in (writer_alias, twin_alias):
        if alias not in connections.settings:
            raise ProvisioningError(f"DATABASES has no '{alias}'; add it (see databases_from_env).")
    if mode.process() is ProcessMode.LOCKED:
        raise ProvisioningError(
            "DB_READ_ONLY=locked keeps the writer's login out of this process; run this without it."
        )
    twin, writer = connections.settings[twin_alias], connections.settings[writer_alias]
    if not twin["USER"]:
        raise ProvisioningError(f"DATABASES['{twin_alias}'] has no USER to provision; set it.")
    if writer["PASSWORD"] and not twin["PASSWORD"]:
        raise ProvisioningError(
            f"DATABASES['{twin_alias}'] has no PASSWORD; set DB_READONLY_PASSWORD or DATABASE_READONLY_URL."
        )


@contextmanager
def sessions_of(target: Target) -> Iterator[Sessions]:
    """Open the logins of a run: the admin's and the writer's, which may be one."""
    who = f"the writer '{target.writer_alias}'"
    if target.own_admin:
        with logins.session(who, target.writer, role=target.assumed) as writer:
            writer.execute(PLAIN_PLANS)
            yield {Actor.ADMIN: writer, Actor.WRITER: writer}
        return
    with logins.session("the admin (--admin-url or DATABASE_ADMIN_URL)", target.admin) as admin:
        _refuse_other_server(target, admin)
        admin.execute(PLAIN_PLANS)
        with logins.session(who, target.writer, role=target.assumed) as writer:
            yield {Actor.ADMIN: admin, Actor.WRITER: writer}


def _refuse_other_server(target: Target, admin: psycopg.Connection[Any]) -> None:
    if not is_same(logins.place_of(admin), target.server):
        raise ProvisioningError(
            "--admin-url leads to another server than the writer's login; name the same server."
        )
