"""The difference between the wanted role and what was found, as statements; pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from dataclasses import replace
from typing import TypeVar

from psycopg import sql

from .catalog import excess_privileges
from .spec import (
    DEFAULT_PRIVILEGES,
    Actor,
    Existing,
    Gap,
    Grant,
    Plan,
    Relation,
    Role,
    RoleState,
    Statement,
    Step,
)

Item = TypeVar("Item")

# Relations of one GRANT: few enough for the default lock table (max_locks_per_transaction = 64), many enough to
# cost what GRANT ... ON ALL TABLES costs.
BATCH = 500

# Settings that change what a query answers; custom settings (with a dot) do too. Never role,
# session_replication_role or the read-only ones.
# https://www.postgresql.org/docs/current/runtime-config-client.html
RESULT_SETTINGS = frozenset(
    "search_path timezone datestyle intervalstyle lc_messages lc_monetary lc_numeric lc_time bytea_output"
    " extra_float_digits xmlbinary xmloption default_text_search_config standard_conforming_strings"
    " backslash_quote array_nulls transform_null_equals".split()
)
READ_ONLY_SETTING = "default_transaction_read_only"
ROW_SECURITY = "row_security"

_KINDS = {"S": "SEQUENCE", "L": "LARGE OBJECT"}


def refusals(wanted: Role, state: RoleState) -> Iterator[str]:
    """Yield why this role must not be provisioned: each a line that names the thing, the cause, the next step."""
    name, role = wanted.name, state.role
    if state.in_recovery:
        yield "The server is a standby, which takes no grants; run this against its primary (--admin-url)."
    if name == wanted.writer:
        yield f"Role '{name}' is the writer itself; give the twin a USER of its own."
    for schema in sorted(set(wanted.schemas or ()) - {found.name for found in state.schemas}):
        yield f"Schema '{schema}' does not exist in database '{wanted.database}'; check --schema."
    if role is None:
        if not (state.superuser or state.createrole):
            yield (
                f"Role '{state.admin}' may not create role '{name}' (no CREATEROLE); name a login that may with "
                "--admin-url, or have a DBA run the script that --sql prints."
            )
        return
    yield from _dangers(name, role, forced=bool(state.forced))


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
            f"Role '{name}' holds {attribute}; run ALTER ROLE {_text(name)} NO{attribute}, or name another role."
        )
    if role.owns:
        yield f"Role '{name}' owns {role.owns[0]}; reassign it, or name another role."
    if role.member_of:
        yield f"Role '{name}' is a member of {role.member_of[0]}; revoke that, or name another role."


def plan_role(wanted: Role, state: RoleState) -> Plan:
    """Return the statements that turn what was found into what is wanted, in an order safe to stop at."""
    statements = [
        *_role_statements(wanted, state),
        *_default_statements(wanted, state),
        *_grant_statements(wanted, state),
        *_revoke_statements(wanted, state.excess),
    ]
    return Plan(statements=tuple(statements), gaps=tuple(_gaps(wanted, state)))


def plan_missing_grants(wanted: Role, state: RoleState) -> Plan:
    """Return only the grants that are still missing: what older transactions created meanwhile."""
    return Plan(statements=tuple(_grant_statements(wanted, state)))


def as_dba(state: RoleState) -> RoleState:
    """Return the state as a superuser would find it: every statement is theirs to run."""
    role = state.role and replace(state.role, alterable=True)
    return replace(
        state,
        superuser=True,
        role=role,
        database_actor=Actor.ADMIN,
        schemas=tuple(replace(schema, actor=Actor.ADMIN) for schema in state.schemas),
        unreadable=tuple(replace(relation, actor=Actor.ADMIN) for relation in state.unreadable),
        large_objects=tuple((oid, Actor.ADMIN) for oid, _ in state.large_objects),
        creators=tuple(replace(creator, actor=Actor.ADMIN) for creator in state.creators),
        excess=tuple(replace(grant, actor=Actor.ADMIN) for grant in state.excess),
    )


def plan_drop(
    wanted: Role,
    held: Iterable[Grant],
    defaults: Iterable[tuple[str, Actor | None, str, str, str]],
    *,
    elsewhere: bool,
) -> Plan:
    """Return the statements that take back what the role was granted here, and drop it unless needed elsewhere."""
    role = sql.Identifier(wanted.name)
    statements = [
        _default_statement(Step.DROP, actor or Actor.ADMIN, creator, schema, kind, privilege, wanted.name, revoke=True)
        for creator, actor, schema, kind, privilege in defaults
    ]
    statements += _revoke_all(wanted, held)
    if not elsewhere:
        drop = sql.SQL("DROP ROLE {}").format(role)
        statements.append(
            Statement(step=Step.DROP, actor=Actor.ADMIN, text=drop, says=f"drop role {wanted.name}")
        )
    return Plan(statements=tuple(statements))


def row_security_off(state: RoleState) -> bool:
    """Tell whether the twin would be shown other rows than the writer, silently, unless told to fail."""
    return bool(state.filtered)


# -- the role and its settings ------------------------------------------------------------------------------------


def _role_statements(wanted: Role, state: RoleState) -> Iterator[Statement]:
    role, found = sql.Identifier(wanted.name), state.role
    if found is None:
        yield _create(wanted, role)
    elif (wanted.rotate and wanted.verifier) or not found.canlogin:
        yield _alter_login(wanted, role)
    actor = Actor.ADMIN if found is None or found.alterable else Actor.TWIN
    for setting, value, in_database in _missing_settings(wanted, state):
        yield _set(wanted, setting, value, in_database, actor)
    if not state.connect:
        yield Statement(
            step=Step.ROLE,
            actor=state.database_actor or Actor.ADMIN,
            text=sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(wanted.database), role),
            says=f"grant CONNECT on database {wanted.database}",
        )


def _password(wanted: Role) -> sql.Composable:
    return sql.SQL(" PASSWORD {}").format(sql.Literal(wanted.verifier)) if wanted.verifier else sql.SQL("")


def _create(wanted: Role, role: sql.Identifier) -> Statement:
    # With the setting in the same transaction, so that the role never exists without it.
    setting = sql.SQL("ALTER ROLE {} SET {} = on").format(role, sql.SQL(READ_ONLY_SETTING))
    create = sql.SQL("CREATE ROLE {} LOGIN NOINHERIT{}").format(role, _password(wanted))
    return Statement(
        step=Step.ROLE,
        actor=Actor.ADMIN,
        first=(create,),
        text=setting,
        says=f"create role {wanted.name}, read-only by default",
        secret=bool(wanted.verifier),
    )


def _alter_login(wanted: Role, role: sql.Identifier) -> Statement:
    password = _password(wanted) if wanted.rotate else sql.SQL("")
    return Statement(
        step=Step.ROLE,
        actor=Actor.ADMIN,
        text=sql.SQL("ALTER ROLE {} LOGIN{}").format(role, password),
        says=f"set the login of role {wanted.name}",
        secret=True,
    )


def _missing_settings(wanted: Role, state: RoleState) -> Iterator[tuple[str, str, bool]]:
    role = state.role
    for in_database, expected in ((False, _wanted_settings(wanted, state)), (True, _copied(state, True))):
        found = {} if role is None else (role.database_settings if in_database else role.settings)
        if role is None and not in_database:
            found = {READ_ONLY_SETTING: "on"}  # set together with CREATE ROLE
        for name, value in expected.items():
            if not _same(name, _lowered(found).get(name.lower()), value, wanted.writer):
                yield name, value, in_database
    # A value in the database would win over the role's own.
    if role is not None and role.database_settings.get(READ_ONLY_SETTING, "on") != "on":
        yield READ_ONLY_SETTING, "on", True


def _wanted_settings(wanted: Role, state: RoleState) -> dict[str, str]:
    settings = {READ_ONLY_SETTING: "on", **_copied(state, False)}
    if row_security_off(state):
        settings[ROW_SECURITY] = "off"
    elif state.role is not None and ROW_SECURITY in state.role.settings:
        settings[ROW_SECURITY] = "on"
    path = _search_path(wanted, state)
    return {**settings, **({"search_path": path} if path else {})}


def _copied(state: RoleState, in_database: bool) -> dict[str, str]:
    source = state.writer_database_settings if in_database else state.writer_settings
    return {name: value for name, value in source.items() if name.lower() in RESULT_SETTINGS or "." in name}


def _search_path(wanted: Role, state: RoleState) -> str:
    """Return a search_path for the twin where the writer's "$user" is a schema of its own."""
    if wanted.writer not in {schema.name for schema in state.schemas}:
        return ""
    for settings in (state.writer_database_settings, state.writer_settings):
        if "search_path" in settings:
            return ""
    return f"{_text(wanted.writer)}, public"


def _set(wanted: Role, name: str, value: str, in_database: bool, actor: Actor) -> Statement:
    where = sql.SQL(" IN DATABASE {}").format(sql.Identifier(wanted.database)) if in_database else sql.SQL("")
    values = _list_values(value, wanted.writer) if name.lower() == "search_path" else [value]
    text = sql.SQL("ALTER ROLE {}{} SET {} TO {}").format(
        sql.Identifier(wanted.name),
        where,
        sql.SQL(".").join(map(sql.Identifier, name.split("."))),
        sql.SQL(", ").join(map(sql.Literal, values)),
    )
    return Statement(
        step=Step.ROLE,
        actor=actor,
        text=text,
        says=f"set {name} of role {wanted.name}{' in this database' if in_database else ''}",
    )


def _list_values(value: str, writer: str) -> list[str]:
    """Return the names of a search_path as stored, "$user" meaning the writer it was written for."""
    names = re.findall(r'"((?:[^"]|"")*)"|([^,\s]+)', value)
    plain = [quoted.replace('""', '"') if quoted else bare for quoted, bare in names]
    return [writer if name == "$user" else name for name in plain] or [""]


def _same(name: str, found: str | None, value: str, writer: str) -> bool:
    if found is None or name.lower() != "search_path":
        return found == value
    return _list_values(found, writer) == _list_values(value, writer)


def _lowered(settings: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in settings.items()}


# -- default privileges ---------------------------------------------------------------------------------------------


def _default_statements(wanted: Role, state: RoleState) -> Iterator[Statement]:
    for creator in state.creators:
        if creator.actor is not None:
            for schema, kind in creator.missing:
                yield _default_statement(
                    Step.DEFAULTS, creator.actor, creator.name, schema, kind, DEFAULT_PRIVILEGES[kind][1], wanted.name
                )


def _default_statement(
    step: Step, actor: Actor, creator: str, schema: str, kind: str, privilege: str, role: str, *, revoke: bool = False
) -> Statement:
    keyword = DEFAULT_PRIVILEGES.get(kind, (_OTHER_KINDS.get(kind, "TABLES"), ""))[0]
    within = sql.SQL(" IN SCHEMA {}").format(sql.Identifier(schema)) if schema else sql.SQL("")
    verb, preposition = ("REVOKE", "FROM") if revoke else ("GRANT", "TO")
    text = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}{} {} {} ON {} {} {}").format(
        sql.Identifier(creator),
        within,
        sql.SQL(verb),
        sql.SQL(privilege),
        sql.SQL(keyword),
        sql.SQL(preposition),
        sql.Identifier(role) if role else sql.SQL("PUBLIC"),
    )
    place = f" in schema {schema}" if schema else ""
    says = f"{verb.lower()} {privilege} on {keyword.lower()} that {creator} creates later{place}"
    return Statement(step=step, actor=actor, text=text, says=says)


_OTHER_KINDS = {"f": "FUNCTIONS", "T": "TYPES"}


# -- grants ---------------------------------------------------------------------------------------------------------


def _grant_statements(wanted: Role, state: RoleState) -> Iterator[Statement]:
    role = sql.Identifier(wanted.name)
    for schema in state.schemas:
        if not schema.usage and schema.actor is not None:
            yield Statement(
                step=Step.GRANTS,
                actor=schema.actor,
                text=sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema.name), role),
                says=f"grant USAGE on schema {schema.name}",
            )
    groups: dict[tuple[Actor, str], list[Relation]] = defaultdict(list)
    for relation in state.unreadable:
        if relation.actor is not None:
            groups[relation.actor, _KINDS.get(relation.kind, "TABLE")].append(relation)
    for (actor, keyword), relations in groups.items():
        for batch in _batches(relations):
            yield _grant_batch(actor, keyword, batch, role)
    yield from _large_object_statements(state, role)


def _grant_batch(actor: Actor, keyword: str, batch: Sequence[Relation], role: sql.Identifier) -> Statement:
    """Return one GRANT, behind a lock that makes others' ALTER and TRUNCATE wait for it.

    Without the lock they update the same pg_class row and fail with XX000 `tuple concurrently updated`
    when the GRANT commits. PostgreSQL 18 takes this lock itself.
    """
    names = sql.SQL(", ").join(relation.identifier for relation in batch)
    return Statement(
        step=Step.GRANTS,
        actor=actor,
        first=tuple(_locks(batch)),
        text=sql.SQL("GRANT SELECT ON {} {} TO {}").format(sql.SQL(keyword), names, role),
        says=f"grant SELECT on {len(batch)} {'sequences' if keyword == 'SEQUENCE' else 'relations'}",
    )


def _locks(batch: Sequence[Relation]) -> Iterator[sql.Composable]:
    tables = [relation.identifier for relation in batch if relation.kind in "rp"]
    if tables:
        yield sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(sql.SQL(", ONLY ").join(tables))
    # LOCK TABLE takes no sequence, materialized view or foreign table; parsing a query locks any relation.
    others = [relation.identifier for relation in batch if relation.kind not in "rp"]
    if others:
        arms = sql.SQL(" UNION ALL ").join(sql.SQL("SELECT FROM {}").format(name) for name in others)
        yield sql.SQL("PREPARE readonly_router_lock AS {}").format(arms)
        yield sql.SQL("DEALLOCATE readonly_router_lock")


def _large_object_statements(state: RoleState, role: sql.Identifier) -> Iterator[Statement]:
    groups: dict[Actor, list[int]] = defaultdict(list)
    for oid, actor in state.large_objects:
        if actor is not None:
            groups[actor].append(oid)
    for actor, oids in groups.items():
        for batch in _batches(oids):
            names = sql.SQL(", ").join(map(sql.Literal, batch))
            yield Statement(
                step=Step.GRANTS,
                actor=actor,
                text=sql.SQL("GRANT SELECT ON LARGE OBJECT {} TO {}").format(names, role),
                says=f"grant SELECT on {len(batch)} large objects",
            )


# -- what the role holds beyond reading -------------------------------------------------------------------------------


def _revoke_statements(wanted: Role, excess: Iterable[Grant]) -> Iterator[Statement]:
    for grant in excess:
        if grant.actor is not None:
            yield revoke(Step.REVOKES, grant, excess_privileges(grant), wanted.name)


def _revoke_all(wanted: Role, held: Iterable[Grant]) -> list[Statement]:
    """Return the revokes of everything held, objects of one kind and owner together."""
    groups: dict[tuple[str, Actor, tuple[str, ...]], list[str]] = defaultdict(list)
    for grant in held:
        groups[grant.kind, grant.actor or Actor.ADMIN, grant.privileges].extend(grant.targets)
    return [
        _revoke(Step.DROP, actor, kind, privileges, batch, wanted.name)
        for (kind, actor, privileges), targets in groups.items()
        for batch in _batches(targets)
    ]


def revoke(step: Step, grant: Grant, privileges: Sequence[str], role: str) -> Statement:
    """Return the statement that takes privileges from a role, or from PUBLIC (empty)."""
    return _revoke(step, grant.actor or Actor.ADMIN, grant.kind, privileges, grant.targets, role)


def _revoke(
    step: Step, actor: Actor, kind: str, privileges: Sequence[str], targets: Sequence[str], role: str
) -> Statement:
    # Targets are spelt by PostgreSQL itself (quote_ident, regprocedure).
    text = sql.SQL("REVOKE {} ON {} {} FROM {}").format(
        sql.SQL(", ".join(privileges)),
        sql.SQL(kind),
        sql.SQL(", ".join(targets)),
        sql.Identifier(role) if role else sql.SQL("PUBLIC"),
    )
    what = targets[0] if len(targets) == 1 else f"{len(targets)} objects"
    says = f"revoke {', '.join(privileges)} on {kind.lower()} {what} from {role or 'PUBLIC'}"
    return Statement(step=step, actor=actor, text=text, says=says)


# -- what no login at hand may do -------------------------------------------------------------------------------------


def _gaps(wanted: Role, state: RoleState) -> Iterator[Gap]:
    role = _text(wanted.name)
    for creator in state.creators:
        if creator.actor is None and any(kind == "r" for _, kind in creator.missing):
            yield Gap(
                says=f"tables that role {creator.name} creates later will not be readable",
                statement=f"ALTER DEFAULT PRIVILEGES FOR ROLE {_text(creator.name)} GRANT SELECT ON TABLES TO {role}",
            )
    for schema in state.schemas:
        if schema.actor is None and not schema.usage:
            yield Gap(
                says=f"schema {schema.name} belongs to role {schema.owner}",
                statement=f"GRANT USAGE ON SCHEMA {_text(schema.name)} TO {role}",
            )


def _text(name: str) -> str:
    return sql.Identifier(name).as_string(None)


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
