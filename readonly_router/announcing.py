"""A process that is read-only says so in one line of its log, once per change; shells show it as they start."""

from __future__ import annotations

import logging
import os
from typing import Any

from . import mode
from .conf import ProcessMode
from .mode import Status

logger = logging.getLogger("readonly_router")

# Where somebody sits before the process, by the command's name; a bare `dbshell` leads to the twin as well.
SHELLS = frozenset({"shell", "shell_plus", "dbshell", "runserver", "runserver_plus"})
# How loud the variable's line was said; 0 is not at all.
_said = 0


def say_process(level: int = logging.WARNING) -> None:
    """Log that this process is read-only by its environment, unless it was logged as loud before."""
    global _said  # noqa: PLW0603 - once in a process
    if level > _said and mode.process() in {ProcessMode.READ_ONLY, ProcessMode.LOCKED}:
        _said = level
        logger.log(level, "%s", mode.reason_of_the_process())


def say_switch(status: Status) -> None:
    """Log that the switch of a writer is on, or off again."""
    said = mode.described(status) if status.read_only else f"'{status.alias}' is writable again."
    logger.warning("%s", said)


def show(command: Any, status: Status) -> None:
    """Have a command that is a shell show that the site is read-only, where the log goes elsewhere."""
    if status.source == "process":
        say_process()
    # Without handlers Python's last resort has written it to the terminal.
    if status.read_only and logger.hasHandlers():
        command.stderr.write(mode.described(status))


def is_shell(command: Any, options: dict[str, Any]) -> bool:
    """Return whether somebody sits before a command; what only starts runserver again and again shows nothing.

    dbshell reads the settings of its connection and opens none: it is to know where that leads, shown or not.
    """
    name = type(command).__module__.rpartition(".")[2]
    restarts = options.get("use_reloader") and os.environ.get("RUN_MAIN") != "true"
    return name in SHELLS and (options.get("verbosity", 1) > 0 or name == "dbshell") and not restarts


def forget() -> None:
    """Have said nothing; for tests."""
    global _said  # noqa: PLW0603 - once in a process
    _said = 0
