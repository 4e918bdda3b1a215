"""Asks a writer's database which migrations are unapplied there, through the twin, which cannot write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db import DatabaseError, connections
from django.db.migrations.exceptions import BadMigrationError, InconsistentMigrationHistory, NodeNotFoundError
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.migration import Migration
from django.utils.translation import gettext as _

from ..errors import ReadOnlyRouterError
from ..scopes import read_only
from .plan import Plan, Step, step_of

_BROKEN = (BadMigrationError, InconsistentMigrationHistory, NodeNotFoundError)


def plan_of(alias: str) -> Plan:
    """Return what is unapplied in a writer's database; `problem` says why that is not known.

    To know its SQL a migration is run with a schema editor that only collects; one that does more is refused.
    """
    try:
        with read_only():
            executor = MigrationExecutor(connections[alias])
            if problem := _problem(executor, alias):
                return Plan(alias=alias, problem=problem)
            return Plan(alias=alias, steps=tuple(_steps(executor)))
    except (*_BROKEN, DatabaseError, ReadOnlyRouterError) as error:
        return Plan(alias=alias, problem=_line(error))


def unapplied(executor: MigrationExecutor) -> list[Migration]:
    """Return what `migrate` without a name would apply, in its order."""
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [migration for migration, _backwards in plan]


def _problem(executor: MigrationExecutor, alias: str) -> str:
    executor.loader.check_consistent_history(connections[alias])
    conflicts = executor.loader.detect_conflicts()
    if not conflicts:
        return ""
    named = "; ".join(f"{app}: {', '.join(sorted(names))}" for app, names in sorted(conflicts.items()))
    message = _("Migrations conflict (%(conflicts)s); merge them with manage.py makemigrations --merge.")
    return message % {"conflicts": named}


def _steps(executor: MigrationExecutor) -> Iterator[Step]:
    migrations = unapplied(executor)
    state = executor._create_project_state(with_applied_migrations=True)  # type: ignore[attr-defined]  # no stub
    for number, migration in enumerate(migrations):
        sql, problem = "", ""
        try:
            sql, state = _collected(executor, migration, state)
        # Anybody's code, of which one that expects what an earlier migration makes may fail in any way.
        except Exception as error:  # noqa: BLE001 - told in the place of the SQL
            problem = _line(error)
            state = _after(executor, migrations[: number + 1])
        yield step_of(migration, sql, problem)


def _collected(executor: MigrationExecutor, migration: Migration, state: Any) -> tuple[str, Any]:
    connection: Any = executor.connection
    with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
        state = migration.apply(state, editor, collect_sql=True)
    return "\n".join(editor.collected_sql), state


def _after(executor: MigrationExecutor, migrations: Iterable[Migration]) -> Any:
    """Return the state after migrations whose SQL could not be collected."""
    state = executor._create_project_state(with_applied_migrations=True)  # type: ignore[attr-defined]  # no stub
    for migration in migrations:
        state = migration.mutate_state(state, preserve=False)
    return state


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
