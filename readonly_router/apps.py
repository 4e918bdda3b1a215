"""Start-up: the environment is understood or the process stops, and the connections learn about pairs."""

from __future__ import annotations

import functools
import sys
from typing import Any

from django.apps import AppConfig

from . import conf, connections, mode
from .errors import ReadOnlyRouterError


class ReadOnlyRouterConfig(AppConfig):
    """The app to list in INSTALLED_APPS, as `readonly_router`."""

    name = "readonly_router"
    verbose_name = "Read-only router"

    def ready(self) -> None:
        mode.process()
        conf.twins()
        connections.install()
        _tell_refused_commands()


def _tell_refused_commands() -> None:
    """Let a management command that met a refusal say so in one line and exit with status 1.

    Django prints a line for CommandError alone, and some of its commands (flush) hide their cause in one.
    Only on the command line: call_command() raises what was raised. `--traceback` shows everything.
    """
    if "django.core.management.base" not in sys.modules:
        return  # a web process
    from django.core.management.base import BaseCommand, CommandError  # noqa: PLC0415 - see above

    execute = BaseCommand.execute

    @functools.wraps(execute)
    def told(self: Any, *args: Any, **options: Any) -> Any:
        try:
            return execute(self, *args, **options)
        except Exception as error:
            if self._called_from_command_line and (refusal := _refusal_in(error)):
                raise CommandError(str(refusal)) from error
            raise

    BaseCommand.execute = told  # type: ignore[method-assign]


def _refusal_in(error: BaseException | None) -> ReadOnlyRouterError | None:
    """Return our error that an error is, or was raised from or because of."""
    while error is not None and not isinstance(error, ReadOnlyRouterError):
        error = error.__cause__ or error.__context__
    return error
