"""The values of provisioning: what is wanted, what was found, what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from psycopg import sql

# Kinds that hold a default privilege for the twin: pg_default_acl.defaclobjtype -> (keyword, privilege).
# https://www.postgresql.org/docs/current/catalog-pg-default-acl.html
DEFAULT_PRIVILEGES = {
    "r": ("TABLES", "SELECT"),
    "S": ("SEQUENCES", "SELECT"),
    "n": ("SCHEMAS", "USAGE"),
    "L": ("LARGE OBJECTS", "SELECT"),
}


class Actor(Enum):
    """The login that executes a statement."""

    ADMIN = "admin"
    WRITER = "writer"
    TWIN = "twin"


class Step(Enum):
    """The order of a plan; each prefix is safe to stop at."""

    ROLE = "role"
    DEFAULTS = "default privileges"
    GRANTS = "grants"
    REVOKES = "revokes"
    HARDEN = "hardening"
    DROP = "drop"


@dataclass(frozen=True, kw_only=True)
class Role:
    """The wanted role.

    `writer` is the role the site acts as, `login` the one it logs in as (empty: the same), `search_path` what its
    sessions start with; `schemas` None means every non-system schema; `verifier` is a SCRAM verifier or empty.
    """

    name: str
    writer: str
    database: str
    login: str = ""
    search_path: str = ""
    schemas: tuple[str, ...] | None = None
    verifier: str = field(default="", repr=False)
    rotate: bool = False


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a plan. `first` runs before it in the same transaction; `says` is the line for people."""

    step: Step
    actor: Actor
    text: sql.Composed = field(repr=False)
    says: str
    first: tuple[sql.Composed, ...] = field(default=(), repr=False)


@dataclass(frozen=True, kw_only=True)
class Relations:
    """Relations of one kind (pg_class.relkind) that one login can grant on, if anybody.

    `targets` are spelt as PostgreSQL quotes them.
    """

    kind: str
    actor: Actor | None
    targets: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Schema:
    name: str
    owner: str
    usage: bool
    actor: Actor | None


@dataclass(frozen=True, kw_only=True)
class Creator:
    """A role that may create objects, with the default privileges its objects lack for the twin.

    `missing` holds (schema or empty for everywhere, pg_default_acl.defaclobjtype).
    """

    name: str
    actor: Actor | None
    missing: tuple[tuple[str, str], ...]


# What a reader needs, or what does no harm; every other privilege is excess. A function that is neither of
# pg_catalog nor runs as its owner may be what a view needs.
_WANTED = {
    "TYPE": ("USAGE",),
    "LANGUAGE": ("USAGE",),
    "TABLE": ("SELECT",),
    "SEQUENCE": ("SELECT",),
    "LARGE OBJECT": ("SELECT",),
    "SCHEMA": ("USAGE",),
    "DATABASE": ("CONNECT",),
}


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Privileges held alike on objects. `targets` are spelt as PostgreSQL quotes them; `kind` the GRANT keyword.

    `holders` are the roles a revoked PUBLIC grant must be given back to; `columns` what some of them hold of it on
    single columns already, as (holder, privilege); `reason` says why it writes.
    """

    kind: str
    targets: tuple[str, ...]
    privileges: tuple[str, ...]
    owner: str
    actor: Actor | None
    reason: str = ""
    grantor: str = ""
    holders: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()

    @property
    def excess(self) -> tuple[str, ...]:
        """Return the privileges that a reader does not need."""
        if self.kind == "ROUTINE" and not self.reason:
            return ()
        wanted = _WANTED.get(self.kind, ())
        return tuple(privilege for privilege in self.privileges if privilege.partition(" ")[0] not in wanted)


@dataclass(frozen=True, kw_only=True)
class DefaultGrant:
    """A default privilege: what `creator`'s later objects grant; `kind` is pg_default_acl.defaclobjtype."""

    creator: str
    actor: Actor | None
    schema: str
    kind: str
    privilege: str

    @property
    def writes(self) -> bool:
        """Return whether it gives more than reading; USAGE on a sequence is nextval()."""
        wanted = DEFAULT_PRIVILEGES.get(self.kind, ("", ""))[1]
        return self.kind in DEFAULT_PRIVILEGES and self.privilege != wanted


@dataclass(frozen=True, kw_only=True)
class Existing:
    """The role as found. `settings` and `database_settings` are its ALTER ROLE ... SET values."""

    superuser: bool
    createrole: bool
    createdb: bool
    replication: bool
    bypassrls: bool
    canlogin: bool
    owns: tuple[str, ...]
    member_of: tuple[str, ...]
    alterable: bool
    settings: dict[str, str]
    database_settings: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class RoleState:
    """What the catalogs say. Relations, large objects and creators list only what the twin lacks.

    `filtered` says that some table would show the twin other rows than the writer, `forced` that one forces its
    policies; `excess` and `public` are what the role and PUBLIC may do beyond reading.
    """

    version: int
    in_recovery: bool
    admin: str
    superuser: bool
    createrole: bool
    role: Existing | None
    connect: bool
    database_actor: Actor | None
    writer_settings: dict[str, str]
    writer_database_settings: dict[str, str]
    schemas: tuple[Schema, ...]
    unreadable: tuple[Relations, ...]
    large_objects: tuple[tuple[int, Actor | None], ...]
    creators: tuple[Creator, ...]
    filtered: bool
    forced: bool
    excess: tuple[Grant, ...]
    default_excess: tuple[DefaultGrant, ...]
    public: tuple[Grant, ...]
    default_public: tuple[DefaultGrant, ...]


@dataclass(frozen=True, kw_only=True)
class Power:
    """Something the twin can still do, and the statement that would end it (empty: nothing can)."""

    says: str
    statement: str = ""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Something wanted that no login at hand may do, and the statement somebody else could run.

    `writes` says that until then the twin can do more than read.
    """

    says: str
    statement: str = ""
    writes: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Statements in their order, and what they cannot reach."""

    statements: tuple[Statement, ...] = ()
    gaps: tuple[Gap, ...] = ()
    undo: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What logging in as the twin showed. Empty `unreadable`, `landed` and `differences` mean proved.

    `untried` are relations that are not the site's: what hangs on them is not run as the twin, so they are neither
    readable nor unreadable.
    """

    readable: int
    unreadable: tuple[Gap, ...]
    refused: int
    landed: tuple[Power, ...]
    powers: tuple[Power, ...]
    differences: tuple[Gap, ...] = ()
    # What is to be said of where the twin leads.
    notes: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.unreadable and not self.landed and not self.differences
