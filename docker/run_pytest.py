"""Run pytest so that it can be interrupted from a shell script's background, once and in order.

A shell starts its background commands with SIGINT ignored, and answers a signal of its own at once only while it
waits for such a command. One Ctrl-C then arrives twice, from the terminal and from the script; the second must not
cut short the tidying up that the first began.
"""

import signal
import sys
from pathlib import Path
from types import FrameType

import pytest

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, and be deaf from then on."""
    for each in SIGNALS:
        # Not SIG_IGN, which the commands started while tidying up would inherit.
        signal.signal(each, lambda number, frame: None)
    raise KeyboardInterrupt


if __name__ == "__main__":
    for each in SIGNALS:
        signal.signal(each, interrupt)
    sys.path[0] = str(Path.cwd())  # as `python -m pytest` has it
    sys.exit(pytest.main())
