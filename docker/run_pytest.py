#!/usr/bin/env python
"""Run pytest so that it can be interrupted from a shell script's background, once and in order.

A shell starts its background commands with SIGINT ignored, and answers a signal of its own at once only
while it waits for such a command. One Ctrl-C then arrives twice, from the terminal and from the script; the
second must not cut short the tidying up that the first began.
"""

import signal
import sys
from pathlib import Path

import pytest

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def ignore(*_: object) -> None:
    """Do nothing: unlike SIG_IGN, not inherited by the commands that are run while tidying up."""


def interrupt(*_: object) -> None:
    """Raise KeyboardInterrupt, and be deaf from then on."""
    for each in SIGNALS:
        signal.signal(each, ignore)
    raise KeyboardInterrupt


if __name__ == "__main__":
    for each in SIGNALS:
        signal.signal(each, interrupt)
    sys.path[0] = str(Path.cwd())  # as `python -m pytest` has it
    sys.exit(pytest.main())
