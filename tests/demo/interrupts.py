"""Ctrl-C at any time: it never falls between making a thing and knowing what must be removed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Turns signals into KeyboardInterrupt, held back while a context is entered or left."""

    def __init__(self) -> None:
        self._depth = 0
        self._pending = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        self._previous = {number: signal.signal(number, self._meet) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _meet(self, number: int, frame: FrameType | None) -> None:
        if self._depth:
            self._pending = True
        else:
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold signals back to the end of the block."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if self._pending and not self._depth:
            self._pending = False
            raise KeyboardInterrupt

    @contextmanager
    def safely(self, context: AbstractContextManager[T]) -> Iterator[T]:
        """Use a context whose beginning and end are not to be interrupted."""
        with ExitStack() as stack:
            # The outer `finally` also runs for an interrupt told at the end of the beginning.
            try:
                with self.held():
                    entered = stack.enter_context(context)
                yield entered
            finally:
                with self.held():
                    stack.close()
