"""What `migrate` would do, as values: each unapplied migration, its SQL, and what cannot be undone; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.migrations.migration import Migration


@dataclass(frozen=True, kw_only=True)
class Step:
    """One unapplied migration; `problem` says why its SQL is not known, `irreversible` what cannot be undone."""

    app_label: str
    name: str
    atomic: bool
    operations: tuple[str, ...]
    irreversible: tuple[str, ...]
    sql: str = ""
    problem: str = ""

    def __str__(self) -> str:
        return f"{self.app_label}.{self.name}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is unapplied in one database; `problem` says why nothing can be run, or even be known."""

    alias: str
    steps: tuple[Step, ...] = ()
    problem: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(str, self.steps))

    @property
    def irreversible(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.irreversible)

    @property
    def digest(self) -> str:
        """Return what tells this plan from another: who confirms one must not run another."""
        return digest(self.names)


def digest(names: Iterable[str]) -> str:
    """Return what tells a list of migrations from another."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def step_of(migration: Migration, sql: str, problem: str) -> Step:
    """Return an unapplied migration as a value."""
    return Step(
        app_label=migration.app_label,
        name=migration.name,
        atomic=bool(migration.atomic),
        operations=tuple(operation.describe() for operation in migration.operations),
        irreversible=tuple(operation.describe() for operation in migration.operations if not operation.reversible),
        sql=sql,
        problem=problem,
    )
