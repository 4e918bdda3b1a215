"""Start-up: the environment is understood or the process stops, and the connections learn about pairs."""

from __future__ import annotations

import functools
from typing import Any

from django.apps import AppConfig
from django.core.management.base import BaseCommand, CommandError
from django.db import connections as django_connections

from . import announcing, conf, mode, starting
from .checks.site import SETTLED
from .connections import handler
from .connections.asking import get_status
from .errors import ConfigurationError, ReadOnlyRouterError
from .escaping import escaped
from .http import skipping
from .sessions import signing_in


class ReadOnlyRouterConfig(AppConfig):
    """The app to list in INSTALLED_APPS, as `readonly_router`."""

    name = "readonly_router"
    verbose_name = "Read-only router"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        _adopt_commands()
        handler.install()
        try:
            mode.process()
            # Better as a process starts than in the window.
            for settle in (conf.twins, conf.replicas, *SETTLED):
                settle()
        except ConfigurationError as error:
            starting.refuse(error)
            return
        skipping.install()
        signing_in.install()


_MARK = "_readonly_router_tells"


def _adopt_commands() -> None:
    """Let a shell show that it is read-only, and a command that met a refusal say so in one line and exit with 1.

    Django prints a line for CommandError alone, and some of its commands (flush) hide their cause in one.
    Only on the command line: call_command() raises what was raised. `--traceback` shows everything.
    """
    execute = BaseCommand.execute
    if getattr(execute, _MARK, False):
        return

    @functools.wraps(execute)
    def told(self: Any, *args: Any, **options: Any) -> Any:
        try:
            starting.refuse_command(self)
            if self._called_from_command_line and announcing.is_shell(self, options):
                database = options.get("database")
                found = get_status(database if database in conf.twins() else conf.primary())
                if options.get("verbosity", 1) > 0:
                    announcing.show(self, found)
                # Nobody sits in a session that was opened to ask.
                django_connections.close_all()
            return execute(self, *args, **options)
        except Exception as error:
            if self._called_from_command_line and (refusal := _refusal_in(error)):
                status = error.returncode if isinstance(error, CommandError) else 1
                raise CommandError(_told(refusal, error), returncode=status) from error
            raise

    setattr(told, _MARK, True)
    # Django has no seam here; the ignore is for assigning a method.
    BaseCommand.execute = told  # type: ignore[method-assign]  # Django has no seam here


def _refusal_in(error: BaseException) -> ReadOnlyRouterError | None:
    """Return our error that an error is, was raised from or, but for a command's own words, because of."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, ReadOnlyRouterError):
        hidden = isinstance(found, CommandError) or found.__suppress_context__
        found = found.__cause__ or (None if hidden else found.__context__)
    return found


def _told(refusal: ReadOnlyRouterError, error: Exception) -> str:
    words = str(error).strip().partition("\n")[0] or type(error).__name__
    said = "" if error is refusal else f" ({words})"
    return escaped(f"{refusal}{said}")
