"""A start with settings that are not understood: a server stops, a command says so in one line, `check` in all."""

from __future__ import annotations

import sys
from types import FrameType

from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand, CommandError
from django.core.management.commands.check import Command as Check

from .errors import ConfigurationError

_refused: list[ConfigurationError] = []


def refuse(error: ConfigurationError) -> None:
    """Raise the error, or where Django's command line is what starts, keep it for the command.

    It prints a CommandError in one line, and whatever stops django.setup() as a traceback.
    """
    if not _is_command_line():
        raise error
    _refused[:] = [error]


def refuse_command(command: BaseCommand) -> None:
    """Raise CommandError for every command but `check`, which tells of all that is wrong."""
    if _refused and not isinstance(command, Check):
        raise CommandError(str(_refused[0]))


def _is_command_line() -> bool:
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code is not ManagementUtility.execute.__code__:
        frame = frame.f_back
    return frame is not None
