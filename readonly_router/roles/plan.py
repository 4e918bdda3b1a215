"""The difference between the wanted role and what was found, as statements; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from . import statements
from .spec import (
    DEFAULT_PRIVILEGES,
    Actor,
    Creator,
    DefaultGrant,
    Existing,
    Gap,
    Grant,
    Plan,
    Relations,
    Role,
    RoleState,
    Schema,
    Statement,
    Step,
)
from .statements import BATCH, READ_ONLY_SETTING, batches, quoted

# Settings that change what a query answers; custom settings (with a dot) do too. Never role,
# session_replication_role or the read-only ones.
# https://www.postgresql.org/docs/current/runtime-config-client.html
RESULT_SETTINGS = frozenset(
    {
        *("search_path", "timezone", "datestyle", "intervalstyle", "default_text_search_config"),
        *("lc_messages", "lc_monetary", "lc_numeric", "lc_time", "bytea_output", "extra_float_digits"),
        *("xmlbinary", "xmloption", "standard_conforming_strings", "backslash_quote", "array_nulls"),
        "transform_null_equals",
    }
)
ROW_SECURITY = "row_security"
# What one login or another may act on.
Owned = TypeVar("Owned", Schema, Relations, Creator, Grant, DefaultGrant)


def refusals(wanted: Role, state: RoleState) -> Iterator[str]:
    """Yield why this role must not be provisioned: each a line that names the thing, the cause, the next step."""
    name, role = wanted.name, state.role
    if state.in_recovery:
        yield "The server is a standby, which takes no grants; run this against its primary (--admin-url)."
    if name == wanted.writer:
        yield f"Role '{name}' is the writer itself; give the twin a USER of its own."
    for schema in sorted(set(wanted.schemas or ()) - {found.name for found in state.schemas}):
        yield f"Schema '{schema}' does not exist in database '{wanted.database}'; check --schema."
    if role is not None:
        yield from _dangers(name, role, forced=state.forced)
    elif not (state.superuser or state.createrole):
        yield (
            f"Role '{state.admin}' may not create role '{name}' (no CREATEROLE); name a login that may with "
            "--admin-url, or have a DBA run the script that --sql prints."
        )


def _dangers(name: str, role: Existing, *, forced: bool) -> Iterator[str]:
    attributes = {
        "SUPERUSER": role.superuser,
        "CREATEROLE": role.createrole,
        "CREATEDB": role.createdb,
        "REPLICATION": role.replication,
        "BYPASSRLS": role.bypassrls and forced,
    }
    for attribute in (attribute for attribute, held in attributes.items() if held):
        yield (
            f"Role '{name}' holds {attribute}; run ALTER ROLE {quoted(name)} NO{attribute}, or name another role."
        )
    if role.owns:
        yield f"Role '{name}' owns {role.owns[0]}; reassign it, or name another role."
    if role.member_of:
        yield f"Role '{name}' is a member of {role.member_of[0]}; revoke that, or name another role."


def plan_role(wanted: Role, state: RoleState, *, batch: int = BATCH) -> Plan:
    """Return the statements that turn what was found into what is wanted, in an order safe to stop at."""
    ordered = [
        *_revoke_statements(wanted, state),
        *_role_statements(wanted, state),
        *_default_statements(wanted, state),
        *_grant_statements(wanted, state, batch),
        *_login_statements(wanted, state),
    ]
    return Plan(statements=tuple(ordered), gaps=tuple(_gaps(wanted, state)))


def undo_defaults(wanted: Role, state: RoleState) -> Iterator[str]:
    """Yield what would take back the default privileges that are about to be granted."""
    return (statement.text.as_string(None) for statement in _default_statements(wanted, state, revoke=True))


def as_dba(state: RoleState) -> RoleState:
    """Return the state as a superuser would find it: every statement is theirs to run."""
    return replace(
        state,
        superuser=True,
        role=state.role and replace(state.role, alterable=True),
        database_actor=Actor.ADMIN,
        schemas=_as_admin(state.schemas),
        unreadable=_as_admin(state.unreadable),
        large_objects=tuple((oid, Actor.ADMIN) for oid, _ in state.large_objects),
        creators=_as_admin(state.creators),
        excess=_as_admin(state.excess),
        default_excess=_as_admin(state.default_excess),
        public=_as_admin(state.public),
        default_public=_as_admin(state.default_public),
    )


def _as_admin(found: Iterable[Owned]) -> tuple[Owned, ...]:
    return tuple(replace(each, actor=Actor.ADMIN) for each in found)


def plan_drop(
    wanted: Role,
    held: Iterable[Grant],
    defaults: Iterable[DefaultGrant],
    *,
    elsewhere: bool,
) -> Plan:
    """Return the statements that take back what the role was granted here, and drop it unless needed elsewhere."""
    ordered = [statements.default_privilege(Step.DROP, grant, wanted.name, revoke=True) for grant in defaults]
    ordered += [
        statements.revoke(Step.DROP, replace(grant, targets=tuple(batch)), grant.privileges, wanted.name)
        for grant in held
        for batch in batches(grant.targets, BATCH)
    ]
    return Plan(statements=(*ordered, *(() if elsewhere else (statements.drop_role(wanted),))))


def _role_statements(wanted: Role, state: RoleState) -> Iterator[Statement]:
    found = state.role
    if found is None:
        yield statements.create_role(wanted)
    actor = Actor.ADMIN if found is None or found.alterable else Actor.TWIN
    for name, value, in_database in _missing_settings(wanted, state):
        if _may_set(name, state):
            yield statements.set_setting(wanted, name, value, in_database=in_database, actor=actor)
    if not state.connect:
        yield statements.grant_connect(wanted, state.database_actor or Actor.ADMIN)


def _may_set(name: str, state: RoleState) -> bool:
    # A custom setting that no library has defined is a superuser's to put on a role.
    return state.superuser or "." not in name


def _login_statements(wanted: Role, state: RoleState) -> Iterator[Statement]:
    # Last: a role that somebody else made may log in when it holds nothing but SELECT.
    found = state.role
    if found is not None and ((wanted.rotate and wanted.verifier) or not found.canlogin):
        yield statements.alter_login(wanted)


def _missing_settings(wanted: Role, state: RoleState) -> Iterator[tuple[str, str, bool]]:
    role = state.role
    # CREATE ROLE comes with its read-only setting.
    own = {READ_ONLY_SETTING: "on"} if role is None else role.settings
    in_database = {} if role is None else role.database_settings
    for name, value in _wanted_settings(wanted, state).items():
        if not _same(name, own, value, wanted.writer):
            yield name, value, False
    for name, value in _copied(state.writer_database_settings).items():
        if not _same(name, in_database, value, wanted.writer):
            yield name, value, True
    # A value in the database would win over the role's own.
    if in_database.get(READ_ONLY_SETTING, "on") != "on":
        yield READ_ONLY_SETTING, "on", True


def _wanted_settings(wanted: Role, state: RoleState) -> dict[str, str]:
    settings = {READ_ONLY_SETTING: "on", **_search_path(wanted, state), **_copied(state.writer_settings)}
    if state.filtered:
        # The twin would silently be shown other rows than the writer: make it an error instead.
        settings[ROW_SECURITY] = "off"
    elif state.role is not None and ROW_SECURITY in state.role.settings:
        settings[ROW_SECURITY] = "on"
    return settings


def _copied(settings: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name.lower() in RESULT_SETTINGS or "." in name}


def _search_path(wanted: Role, state: RoleState) -> dict[str, str]:
    """Return the writer's path for a twin where the path's "$user" is a schema of the writer's own."""
    own_schema = any(schema.name == wanted.writer for schema in state.schemas)
    names = statements.list_values(wanted.search_path, "$user")
    return {"search_path": wanted.search_path} if own_schema and "$user" in names else {}


def _same(name: str, settings: dict[str, str], value: str, writer: str) -> bool:
    found = {key.lower(): text for key, text in settings.items()}.get(name.lower())
    if found is None or name.lower() != "search_path":
        return found == value
    return statements.list_values(found, writer) == statements.list_values(value, writer)


def _default_statements(wanted: Role, state: RoleState, *, revoke: bool = False) -> Iterator[Statement]:
    for creator in state.creators:
        if creator.actor is not None:
            for grant in _missing_defaults(creator):
                yield statements.default_privilege(Step.DEFAULTS, grant, wanted.name, revoke=revoke)


def _missing_defaults(creator: Creator) -> Iterator[DefaultGrant]:
    for schema, kind in creator.missing:
        yield DefaultGrant(
            creator=creator.name,
            actor=creator.actor,
            schema=schema,
            kind=kind,
            privilege=DEFAULT_PRIVILEGES[kind][1],
        )


def _grant_statements(wanted: Role, state: RoleState, size: int) -> Iterator[Statement]:
    for schema in state.schemas:
        if not schema.usage and schema.actor is not None:
            yield statements.grant_usage(wanted, schema.name, schema.actor)
    for relations in state.unreadable:
        if relations.actor is not None:
            for batch in batches(relations.targets, size):
                yield statements.grant_select(wanted, relations.kind, batch, relations.actor)
    objects: dict[Actor, list[int]] = defaultdict(list)
    for oid, owner_actor in state.large_objects:
        if owner_actor is not None:
            objects[owner_actor].append(oid)
    for actor, oids in objects.items():
        for numbers in batches(oids, size):
            yield statements.grant_large_objects(wanted, numbers, actor)


def _revoke_statements(wanted: Role, state: RoleState) -> Iterator[Statement]:
    for grant in state.excess:
        if grant.actor is not None:
            yield statements.revoke(Step.REVOKES, grant, grant.excess, wanted.name)
    for default in state.default_excess:
        if default.actor is not None:
            yield statements.default_privilege(Step.REVOKES, default, wanted.name, revoke=True)


def _gaps(wanted: Role, state: RoleState) -> Iterator[Gap]:
    """Yield what no login at hand may do, with the statement somebody else could run."""
    role = quoted(wanted.name)
    for creator in state.creators:
        if creator.actor is None:
            for grant in _missing_defaults(creator):
                statement = statements.default_privilege(Step.DEFAULTS, grant, wanted.name)
                yield Gap(says=statement.says, statement=statement.text.as_string(None))
    for schema in state.schemas:
        if schema.actor is None and not schema.usage:
            yield Gap(
                says=f"schema {schema.name} belongs to role {schema.owner}",
                statement=f"GRANT USAGE ON SCHEMA {quoted(schema.name)} TO {role}",
            )
    for oid, owner_actor in state.large_objects:
        if owner_actor is None:
            yield Gap(
                says=f"large object {oid} will not be readable",
                statement=f"GRANT SELECT ON LARGE OBJECT {oid} TO {role}",
            )
    for name, _, in_database in _missing_settings(wanted, state):
        if not _may_set(name, state):
            place = f" IN DATABASE {quoted(wanted.database)}" if in_database else ""
            yield Gap(
                says=f"setting {name} is a superuser's to copy from the writer",
                statement=f"ALTER ROLE {role}{place} SET {name} TO ...",
            )
    yield from _kept(wanted, state)


def _kept(wanted: Role, state: RoleState) -> Iterator[Gap]:
    """Yield what the role holds beyond reading that nobody at hand may revoke: it was given by somebody else."""
    for grant in state.excess:
        if grant.actor is None:
            statement = statements.revoke(Step.REVOKES, grant, grant.excess, wanted.name)
            by = f" as role {grant.grantor}" if grant.grantor else ""
            yield Gap(says=f"{statement.says}{by}", statement=statement.text.as_string(None), writes=True)
    for default in state.default_excess:
        if default.actor is None:
            statement = statements.default_privilege(Step.REVOKES, default, wanted.name, revoke=True)
            yield Gap(says=statement.says, statement=statement.text.as_string(None), writes=True)
