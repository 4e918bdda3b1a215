"""Start-up: the environment is understood or the process stops, and the connections learn about pairs."""

from __future__ import annotations

import functools
from typing import Any

from django.apps import AppConfig
from django.core.management.base import BaseCommand, CommandError

from . import connections, mode
from .errors import ReadOnlyRouterError
from .http import signing_in, skipping
from .site_checks import SETTLED


class ReadOnlyRouterConfig(AppConfig):
    """The app to list in INSTALLED_APPS, as `readonly_router`."""

    name = "readonly_router"
    verbose_name = "Read-only router"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        mode.process()
        # Better as a process starts than in the window.
        for settle in SETTLED:
            settle()
        connections.install()
        skipping.install()
        signing_in.install()
        _tell_refused_commands()


_MARK = "_readonly_router_tells"


def _tell_refused_commands() -> None:
    """Let a management command that met a refusal say so in one line and exit with status 1.

    Django prints a line for CommandError alone, and some of its commands (flush) hide their cause in one.
    Only on the command line: call_command() raises what was raised. `--traceback` shows everything.
    """
    execute = BaseCommand.execute
    if getattr(execute, _MARK, False):
        return

    @functools.wraps(execute)
    def told(self: Any, *args: Any, **options: Any) -> Any:
        try:
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
    return f"{refusal}{said}"
