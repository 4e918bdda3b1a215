"""Start-up: the environment is understood or the process stops, and the connections learn about pairs."""

from __future__ import annotations

import sys
from types import TracebackType

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
        _tell_refused_commands_in_one_line()


def _tell_refused_commands_in_one_line() -> None:
    """Let a management command that met a refusal end with one line and exit status 1, not a traceback.

    Django prints only CommandError that way. `--traceback` shows everything, as in Django.
    """
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if isinstance(error, ReadOnlyRouterError) and _in_command(traceback) and "--traceback" not in sys.argv:
            sys.stderr.write(f"{kind.__name__}: {error}\n")
        else:
            previous(kind, error, traceback)

    sys.excepthook = hook


def _in_command(traceback: TracebackType | None) -> bool:
    while traceback is not None:
        if traceback.tb_frame.f_code.co_name == "run_from_argv":
            return True
        traceback = traceback.tb_next
    return False
