"""The values of a switch: what was asked for and by whom, a session as PostgreSQL shows it, how things stand."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..escaping import escaped
from ..place import Place

Tell = Callable[[str], None]


def print_nothing(_line: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """Who acts: `by` is a name of their own choice, the other two are the system's."""

    by: str
    os_user: str
    host: str

    @classmethod
    def here(cls, by: str = "") -> Operator:
        """Return the one at this process."""
        try:
            user = getpass.getuser()
        except (OSError, KeyError):  # a container's user without a name
            user = "?"
        # The environment and the system may hold bytes that PostgreSQL takes for no text.
        user, host = escaped(user), escaped(socket.gethostname())
        return cls(by=by or f"{user}@{host}", os_user=user, host=host)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What `on` was asked to do; `grace` and `deadline` in seconds, `eta` an aware datetime."""

    operator: Operator
    reason: str = ""
    eta: datetime | None = None
    grace: float = 5.0
    deadline: float = 30.0
    force: bool = False
    fence: str = "settings"
    writers: tuple[str, ...] = ()
    accept_unreadable: bool = False
    show_queries: bool = False


@dataclass(frozen=True, kw_only=True)
class Target:
    """One pair to switch: its writer role in PostgreSQL, and how the server is reached (libpq parameters).

    `way` is the operator's login: the admin's where one was named, else the writer's. `site` is the writer's as
    DATABASES has it, `direct` the same on the operator's way to the server, `assumed` the role it then acts as.
    `schemas` is where its search_path leads. `server` is None where the writer cannot log in.
    """

    alias: str
    twin_alias: str
    writer: str
    way: Mapping[str, Any] = field(repr=False)
    twin: Mapping[str, Any] = field(repr=False)
    site: Mapping[str, Any] = field(repr=False)
    direct: Mapping[str, Any] = field(repr=False)
    assumed: str = ""
    schemas: tuple[str, ...] = ()
    own: bool = True
    server: Place | None = None
    begins_read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Session:
    """A session of a fenced role; times are seconds before now, and None is what the login may not see."""

    pid: int
    role: str
    kind: str
    state: str | None
    began: datetime | None
    idle_for: float | None
    open_for: float | None
    application: str
    client: str
    query: str

    def says(self, *, show_queries: bool = False) -> str:
        """Return the session in one line; the text of its query holds data, so only when asked for."""
        parts = [f"process {self.pid} of '{self.role}'"]
        if self.kind != "client backend":
            parts.append(self.kind or "of a kind that cannot be seen")
        if self.application:
            parts.append(f"application {self.application!r}")
        if self.client:
            parts.append(f"from {self.client}")
        parts.append(self.state or "in a state that cannot be seen")
        if self.open_for is not None:
            parts.append(f"transaction open for {self.open_for:.1f} s")
        if show_queries and self.query:
            parts.append(f"query: {' '.join(self.query.split())[:200]}")
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class RoleFacts:
    """A role to fence: `setting` is its own default in this database as it is spelt, None where there is none."""

    name: str
    superuser: bool
    canlogin: bool
    visible: bool
    endable: bool
    alterable: bool
    setting: str | None


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What `on` may close: these roles. `reads_from` names the replica that a site declared to read from."""

    roles: tuple[str, ...]
    reads_from: str


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What an `off` has to end: the sessions of roles that began between two times of the server's clock.

    Nothing where it is not known since when the switch was on.
    """

    event: int
    roles: tuple[str, ...]
    after: datetime | None
    before: datetime


@dataclass(frozen=True, kw_only=True)
class State:
    """How the switch of one writer stands, as PostgreSQL itself says."""

    alias: str
    read_only: bool
    writer: str
    fenced: tuple[str, ...] = ()
    # What carries the switch's setting in this database, and no event of this site's tells of.
    others: tuple[str, ...] = ()
    nologin: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    superusers: tuple[str, ...] = ()
    sessions: Mapping[str, int] = field(default_factory=dict)
    since: datetime | None = None
    reason: str = ""
    eta: datetime | None = None
    by: str = ""
    proved: bool = False
    # Of the receipt that is kept with the switch.
    digest: str = ""
    event: int | None = None
    # The last event is an on, but the setting is not there: since that time.
    gone: datetime | None = None
    # The last event is an off that did not get as far as to end what began read-only.
    unfinished: Opened | None = None
    # What keeps the twin from serving the site; empty where nothing does.
    twin: str = ""
    # Where reads come from, if that is neither the writer's database nor a standby of it.
    reads_from: str = ""
    warnings: tuple[str, ...] = ()
