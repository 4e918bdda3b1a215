"""Runs the unapplied migrations through the writer, one run at a time, and records what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from .. import advisory
from ..errors import ReadOnlyRouterError
from ..logins import one_line
from ..scopes import writable
from ..switch import events
from ..switch.spec import Operator, Target, Tell
from ..switch.targets import target_for
from ..switch.throws import refuse_locked
from .plan import digest
from .unapplied import unapplied

# One run of the page at a time in a database; of the session that migrates, so that it lasts as long as that.
MIGRATE_LOCK = "readonly_router:migrate"


class MigratingError(ReadOnlyRouterError):
    """Migrations were not run, or not all of them; the message says which were applied."""

    applied: tuple[str, ...] = ()

    @classmethod
    def of(cls, message: str, *, applied: tuple[str, ...] = ()) -> MigratingError:
        """Return the error with what was applied all the same."""
        error = cls(message)
        error.applied = applied
        return error


class Said:
    """A text stream, as a management command writes to, that hands over what it gets."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def write(self, text: str) -> int:
        if text:
            self._tell(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: nothing is kept back."""

    def isatty(self) -> bool:
        return False


def migrate(alias: str, *, expected: str, by: str, tell: Tell) -> tuple[str, ...]:
    """Apply what is unapplied in a writer's database, and return what was.

    `expected` is the digest of the plan that was confirmed: another one is not run. Raises MigratingError with
    what was applied before a migration failed; that one PostgreSQL took back, unless it is not atomic.
    """
    refuse_locked()
    target = target_for(alias)
    with writable(), _alone(alias):
        names = tuple(map(str, unapplied(MigrationExecutor(connections[alias]))))
        if digest(names) != expected:
            raise MigratingError(
                "What is unapplied is not what was confirmed any more, so nothing was run; look at it again."
            )
        return _recorded(target, names, by=by, tell=tell)


@contextmanager
def _alone(alias: str) -> Iterator[None]:
    """Hold the lock on the very session that migrates, through Django's own connection."""
    wrapper: Any = connections[alias]
    wrapper.ensure_connection()
    held = wrapper.connection
    if not advisory.try_lock(held, MIGRATE_LOCK):
        raise MigratingError(f"Migrations are being run on '{alias}' at this moment; wait for their end.")
    try:
        yield
    finally:
        # A pool would keep the session, and the lock with it.
        with suppress(psycopg.Error):
            advisory.unlock(held, MIGRATE_LOCK)


def _recorded(target: Target, names: tuple[str, ...], *, by: str, tell: Tell) -> tuple[str, ...]:
    event = events.begin(target, "migrate", Operator.here(by), {"plan": list(names)})
    failure: BaseException | None = None
    try:
        call_command(
            "migrate",
            database=target.alias,
            interactive=False,
            no_color=True,
            stdout=Said(tell),
            stderr=Said(tell),
        )
    except BaseException as error:  # noqa: BLE001 - a migration is anybody's code; told with what was applied
        failure = error
    applied = _applied(target.alias, names)
    if failure is None:
        if unnoted := events.complete(target, event, {"applied": applied, "status": "applied"}):
            raise MigratingError.of(f"All is applied, but that could not be noted: {unnoted}", applied=applied)
        return applied
    message = f"{type(failure).__name__}: {one_line(failure)}"
    if unnoted := events.complete(target, event, {"applied": applied, "status": "failed", "error": message}):
        tell(f"That could not be noted: {unnoted}\n")
    raise MigratingError.of(message, applied=applied) from failure


def _applied(alias: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of the plan are applied now, asked on a session that a failure left usable."""
    if not connections[alias].is_usable():
        connections[alias].close()
    applied = {f"{app}.{name}" for app, name in MigrationRecorder(connections[alias]).applied_migrations()}
    return tuple(name for name in names if name in applied)
