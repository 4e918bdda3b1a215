"""The statements a plan is made of, each composed from names, never formatted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeVar

from psycopg import sql

from .spec import DEFAULT_PRIVILEGES, Actor, DefaultGrant, Grant, Role, Statement, Step

Item = TypeVar("Item")

# Relations of one GRANT: few enough for the default lock table (max_locks_per_transaction = 64), many enough to
# cost what GRANT ... ON ALL TABLES costs.
BATCH = 500

READ_ONLY_SETTING = "default_transaction_read_only"

_OTHER_KINDS = {"f": "FUNCTIONS", "T": "TYPES"}


def create_role(wanted: Role) -> Statement:
    """Return CREATE ROLE with its setting in the same transaction: the role never exists without it."""
    role = sql.Identifier(wanted.name)
    return Statement(
        step=Step.ROLE,
        actor=Actor.ADMIN,
        first=(sql.SQL("CREATE ROLE {} LOGIN NOINHERIT{}").format(role, _password(wanted)),),
        text=sql.SQL("ALTER ROLE {} SET {} = on").format(role, sql.SQL(READ_ONLY_SETTING)),
        says=f"create role {wanted.name}, read-only by default",
    )


def alter_login(wanted: Role) -> Statement:
    """Return the statement that lets the role log in, with the wanted password when that is to be rotated."""
    password = _password(wanted) if wanted.rotate else sql.SQL("")
    return Statement(
        step=Step.ROLE,
        actor=Actor.ADMIN,
        text=sql.SQL("ALTER ROLE {} LOGIN{}").format(sql.Identifier(wanted.name), password),
        says=f"set the login of role {wanted.name}",
    )


def _password(wanted: Role) -> sql.Composable:
    return sql.SQL(" PASSWORD {}").format(sql.Literal(wanted.verifier)) if wanted.verifier else sql.SQL("")


def set_setting(wanted: Role, name: str, value: str, *, in_database: bool, actor: Actor) -> Statement:
    where = sql.SQL(" IN DATABASE {}").format(sql.Identifier(wanted.database)) if in_database else sql.SQL("")
    values = list_values(value, wanted.writer) if name.lower() == "search_path" else [value]
    text = sql.SQL("ALTER ROLE {}{} SET {} TO {}").format(
        sql.Identifier(wanted.name),
        where,
        sql.SQL(".").join(map(sql.Identifier, name.split("."))),
        sql.SQL(", ").join(map(sql.Literal, values)),
    )
    place = " in this database" if in_database else ""
    return Statement(step=Step.ROLE, actor=actor, text=text, says=f"set {name} of role {wanted.name}{place}")


def list_values(value: str, writer: str) -> list[str]:
    """Return the names of a search_path as stored, "$user" meaning the writer it was written for."""
    names = re.findall(r'"((?:[^"]|"")*)"|([^,\s]+)', value)
    plain = [bare or quoted.replace('""', '"') for quoted, bare in names]
    return [writer if name == "$user" else name for name in plain] or [""]


def grant_connect(wanted: Role, actor: Actor) -> Statement:
    names = sql.Identifier(wanted.database), sql.Identifier(wanted.name)
    return Statement(
        step=Step.ROLE,
        actor=actor,
        text=sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(*names),
        says=f"grant CONNECT on database {wanted.database}",
    )


def default_privilege(step: Step, grant: DefaultGrant, role: str, *, revoke: bool = False) -> Statement:
    """Return ALTER DEFAULT PRIVILEGES for a role; an empty role is PUBLIC."""
    keyword = DEFAULT_PRIVILEGES.get(grant.kind, (_OTHER_KINDS.get(grant.kind, "TABLES"), ""))[0]
    within = sql.SQL(" IN SCHEMA {}").format(sql.Identifier(grant.schema)) if grant.schema else sql.SQL("")
    verb, preposition = ("REVOKE", "FROM") if revoke else ("GRANT", "TO")
    text = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}{} {} {} ON {} {} {}").format(
        sql.Identifier(grant.creator),
        within,
        sql.SQL(verb),
        sql.SQL(grant.privilege),
        sql.SQL(keyword),
        sql.SQL(preposition),
        grantee(role),
    )
    place = f" in schema {grant.schema}" if grant.schema else ""
    says = f"{verb.lower()} {grant.privilege} on {keyword.lower()} that {grant.creator} creates later{place}"
    return Statement(step=step, actor=grant.actor or Actor.ADMIN, text=text, says=says)


def grant_usage(wanted: Role, schema: str, actor: Actor) -> Statement:
    names = sql.Identifier(schema), sql.Identifier(wanted.name)
    return Statement(
        step=Step.GRANTS,
        actor=actor,
        text=sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(*names),
        says=f"grant USAGE on schema {schema}",
    )


def grant_select(wanted: Role, kind: str, targets: Sequence[str], actor: Actor) -> Statement:
    """Return one GRANT on relations of a kind, behind locks that make others' DDL on them wait for it.

    Without them ALTER, TRUNCATE, CREATE TRIGGER and a new foreign key, which update the same pg_class row, fail
    with XX000 `tuple concurrently updated` when the GRANT commits. ROW EXCLUSIVE is the lightest lock that all of
    them wait for, and no reader, writer or VACUUM does.
    https://www.postgresql.org/docs/current/explicit-locking.html
    """
    keyword, noun = ("SEQUENCE", "sequences") if kind == "S" else ("TABLE", "relations")
    names = sql.SQL(", ".join(targets)), sql.Identifier(wanted.name)
    return Statement(
        step=Step.GRANTS,
        actor=actor,
        first=tuple(_locks(kind, targets)),
        text=sql.SQL(f"GRANT SELECT ON {keyword} {{}} TO {{}}").format(*names),
        says=f"grant SELECT on {len(targets)} {noun}",
    )


# LOCK TABLE takes no sequence. What the view pg_sequences calls takes a ROW EXCLUSIVE lock, for whom it answers.
_LOCK_SEQUENCES = (
    "SELECT count(CASE WHEN has_sequence_privilege(s, 'USAGE, SELECT') THEN pg_sequence_last_value(s) END)"
    " FROM unnest(ARRAY[{}]::regclass[]) s"
)


def _locks(kind: str, targets: Sequence[str]) -> Iterator[sql.Composed]:
    if kind == "S":
        yield sql.SQL(_LOCK_SEQUENCES).format(sql.SQL(", ").join(map(sql.Literal, targets)))
    elif kind in "rp":
        yield sql.SQL("LOCK TABLE ONLY {} IN ROW EXCLUSIVE MODE").format(sql.SQL(", ONLY ".join(targets)))
    else:
        # It takes no materialized view or foreign table either; parsing a query locks any relation.
        selects = sql.SQL(" UNION ALL ".join(f"SELECT FROM {target}" for target in targets))
        yield sql.SQL("PREPARE readonly_router_lock AS {}").format(selects)
        yield sql.SQL("DEALLOCATE readonly_router_lock").format()


def grant_large_objects(wanted: Role, oids: Sequence[int], actor: Actor) -> Statement:
    names = sql.SQL(", ").join(map(sql.Literal, oids))
    return Statement(
        step=Step.GRANTS,
        actor=actor,
        text=sql.SQL("GRANT SELECT ON LARGE OBJECT {} TO {}").format(names, sql.Identifier(wanted.name)),
        says=f"grant SELECT on {len(oids)} large objects",
    )


def revoke(step: Step, grant: Grant, privileges: Sequence[str], role: str) -> Statement:
    """Return the statement that takes privileges from a role, or from PUBLIC (empty)."""
    # Targets and privileges are spelt by PostgreSQL itself (quote_ident, regprocedure).
    # CASCADE: what the role granted on goes with it.
    text = sql.SQL("REVOKE {} ON {} {} FROM {}{}").format(
        sql.SQL(", ".join(privileges)),
        sql.SQL(grant.kind),
        sql.SQL(", ".join(grant.targets)),
        grantee(role),
        sql.SQL(" CASCADE" if role else ""),
    )
    count = len(grant.targets)
    what = grant.targets[0] if count == 1 else f"{count} objects"
    says = f"revoke {', '.join(privileges)} on {grant.kind.lower()} {what} from {role or 'PUBLIC'}"
    return Statement(step=step, actor=grant.actor or Actor.ADMIN, text=text, says=says)


def drop_role(wanted: Role) -> Statement:
    text = sql.SQL("DROP ROLE {}").format(sql.Identifier(wanted.name))
    return Statement(step=Step.DROP, actor=Actor.ADMIN, text=text, says=f"drop role {wanted.name}")


def grantee(role: str) -> sql.Composable:
    """Return a role's name in a GRANT; empty is PUBLIC."""
    return sql.Identifier(role) if role else sql.SQL("PUBLIC")


def quoted(name: str) -> str:
    """Return a name as PostgreSQL quotes it, for a statement that is shown."""
    return sql.Identifier(name).as_string(None)


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
