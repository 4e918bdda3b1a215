"""Which pair is to be switched, and the two logins by which that is done: the operator's and the site's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import connections

from .. import conf, logins
from ..errors import ProvisioningError, SwitchError
from ..following import followers
from ..logins import Session, one_line
from ..mark import APPLICATION, SETTING
from ..place import Place, is_same
from .spec import Target

# A role or a server may commit without waiting for the disk; a crash would then take back what a receipt says.
# https://www.postgresql.org/docs/current/wal-async-commit.html
_DURABLE = """SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'"""


@dataclass(frozen=True, kw_only=True)
class Hands:
    """Who does what: `operator` touches roles, sessions and catalogs, `site` the site's own tables.

    One session where the operator is the site's login.
    """

    operator: Session
    site: Session
    # The processes of both, told while they live.
    pids: tuple[int, ...]

    @classmethod
    def of(cls, operator: Session, site: Session) -> Hands:
        """Return both, with their processes."""
        return cls(operator=operator, site=site, pids=(operator.info.backend_pid, site.info.backend_pid))


def target_for(alias: str, *, admin: Mapping[str, Any] | None = None) -> Target:
    """Return what to switch for a pair; `admin` is a DATABASES entry of another login than the writer's."""
    twin_alias = conf.twins().get(alias)
    if twin_alias is None:
        raise SwitchError(
            f"'{alias}' is no writer of READONLY_ROUTER_PAIRS; name one of: {', '.join(conf.twins())}."
        )
    for name in (alias, twin_alias):
        if name not in connections.settings:
            raise SwitchError(f"DATABASES has no '{name}'; add it (see databases_from_env).")
    site = _parameters(connections.settings[alias], alias)
    twin = _parameters(connections.settings[twin_alias], twin_alias)
    assumed = str(connections.settings[alias]["OPTIONS"].get("assume_role") or "")
    found = _identity(f"the writer '{alias}'", site, assumed)
    schemas = (found or _identity(f"the twin '{twin_alias}'", twin) or _Identity()).schemas
    found = found or _Identity()
    way = site
    if admin is not None:
        way = {**_parameters(dict(admin), alias), "dbname": found.database or site["dbname"]}
    return Target(
        alias=alias,
        twin_alias=twin_alias,
        writer=found.login or followers.of(alias).login or site.get("user", ""),
        way=way,
        twin=twin,
        site=site,
        direct=logins.by_way_of(way, site),
        assumed=assumed,
        schemas=schemas,
        own=admin is None,
        server=found.server,
        begins_read_only=found.begins_read_only,
    )


@dataclass(frozen=True, kw_only=True)
class _Identity:
    """Who and where a login is in truth, and how it begins."""

    login: str = ""
    database: str = ""
    begins_read_only: bool = False
    server: Place | None = None
    schemas: tuple[str, ...] = ()


_IDENTITY = "SELECT session_user::text, current_database()::text, current_setting(%s) = 'on'"


def _identity(who: str, way: Mapping[str, Any], role: str = "") -> _Identity | None:
    """Return what a login tells of itself; None where it cannot log in."""
    try:
        with logins.connect(who, way, role=role) as connection:
            row = connection.execute(_IDENTITY, [SETTING]).fetchone() or ("", "", False)
            return _Identity(
                login=row[0],
                database=row[1],
                begins_read_only=row[2],
                server=logins.place_of(connection),
                schemas=connection.schemas,
            )
    except ProvisioningError:
        return None


def begins_read_only(target: Target, *, direct: bool = False) -> bool:
    """Log in the way the site does, and return whether the session begins read-only.

    `direct` leaves out a pooler's: it may hand out one that began under the switch.
    """
    with connect(f"the writer '{target.alias}'", target.site) as connection:
        row = connection.execute("SELECT current_setting(%s) = 'on'", [SETTING]).fetchone()
        return bool(row and row[0] and not (direct and connection.pooled))


def _parameters(settings: Mapping[str, Any], alias: str) -> dict[str, Any]:
    return {**logins.parameters(dict(settings), alias), "application_name": APPLICATION}


# -- sessions that act


@contextmanager
def in_one_line() -> Iterator[None]:
    """Raise an error of PostgreSQL's as a SwitchError of one line."""
    try:
        yield
    except psycopg.Error as error:
        raise SwitchError(f"PostgreSQL said: {one_line(error)}; see read_only status.") from None


@contextmanager
def hands(target: Target) -> Iterator[Hands]:
    """Open the operator's session and the site's: direct, autocommit, and writable whatever their roles say.

    Where the writer cannot log in, for it is fenced off, the site's is the twin's: it reads.
    """
    with session(target) as operator, ExitStack() as stack:
        if target.own and not target.assumed:
            site = operator
        elif target.server is None:
            site = stack.enter_context(connect(f"the twin '{target.twin_alias}'", target.twin))
        else:
            site = stack.enter_context(writer_session(target))
        yield Hands.of(operator, site)


@contextmanager
def session(target: Target) -> Iterator[Session]:
    """Open the operator's session."""
    who = f"the writer '{target.alias}'" if target.own else "the admin (--admin-url or DATABASE_ADMIN_URL)"
    fenced = "; where the switch fenced it (--fence login), name another login with --admin-url"
    with _acting(who, target, target.way, hint=fenced if target.own and not target.server else "") as connection:
        yield connection


@contextmanager
def writer_session(target: Target) -> Iterator[Session]:
    """Open the site's own session, as the role that the site acts as."""
    fenced = (
        ""
        if target.server
        else "; where the switch fenced it (--fence login), run read_only off --admin-url first"
    )
    with _acting(
        f"the writer '{target.alias}'", target, target.direct, role=target.assumed, hint=fenced
    ) as connection:
        yield connection


@contextmanager
def _acting(
    who: str, target: Target, way: Mapping[str, Any], *, role: str = "", hint: str = ""
) -> Iterator[Session]:
    try:
        with logins.session(who, way, role=role) as connection:
            if target.server and not is_same(logins.place_of(connection), target.server):
                raise SwitchError(
                    "--admin-url leads to another server than the writer's login; name the same server."
                )
            connection.execute(_DURABLE)
            yield connection
    except ProvisioningError as error:
        raise SwitchError(f"{error}{hint}") from None


# -- sessions that read


@contextmanager
def reading_hands(target: Target, *, direct: bool = False) -> Iterator[Hands]:
    """Open both, or where a login is fenced off or absent, the twin's: it may read.

    `direct` refuses a pooler: what the server has counted is only seen by a session that stays.
    """
    twin = (f"the twin '{target.twin_alias}'", target.twin, "")
    # A replica knows nothing of the switch, nor of what was written.
    instead = () if target.twin_alias in conf.replicas() else (twin,)
    writer = (f"the writer '{target.alias}'", target.direct, target.assumed)
    with ExitStack() as stack:
        operator = stack.enter_context(_answering(("the operator", target.way, ""), *instead))
        own = target.own and not target.assumed
        site = operator if own else stack.enter_context(_answering(writer, *instead))
        if direct and (operator.pooled or site.pooled):
            raise SwitchError(logins.POOLED.format(who="the operator"))
        yield Hands.of(operator, site)


def _answering(first: tuple[str, Mapping[str, Any], str], *others: tuple[str, Mapping[str, Any], str]) -> Session:
    """Return a session of the first login that answers; raise SwitchError with what kept the first from it."""
    who, way, role = first
    try:
        return logins.connect(who, way, role=role)
    except ProvisioningError as error:
        for other in others:
            with suppress(SwitchError):
                return _answering(other)
        raise SwitchError(str(error)) from None


def connect(who: str, way: Mapping[str, Any]) -> Session:
    """Return an autocommit session, or raise SwitchError in one line."""
    return _answering((who, way, ""))
