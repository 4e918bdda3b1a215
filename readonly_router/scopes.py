"""The verbs that change the mode: for a block or a function, or for the whole process in a shell."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction

from . import mode
from .conf import ProcessMode
from .connections.handler import end_fenced_sessions, end_written_sessions, open_transactions, writer_transactions
from .errors import ModeError
from .mode import Scope

F = TypeVar("F", bound=Callable[..., Any])


class _ModeScope:
    """A mode for a block or a function, sync or async; restores the previous one."""

    wanted: Scope

    def __enter__(self) -> None:
        self._refuse()
        mode.enter_scope(self.wanted)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        mode.leave_scope()

    def __call__(self, function: F) -> F:
        if inspect.isclass(function):
            raise TypeError(
                f"{type(self).__name__}() cannot decorate the class {function.__qualname__}; decorate its methods."
            )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            # Between its yields a generator would leave its mode to the code that consumes it.
            raise TypeError(
                f"{type(self).__name__}() cannot decorate the generator {function.__qualname__}; "
                "decorate or wrap the code that consumes it."
            )
        # asgiref's: Django marks async class-based views for it, which Python knows only from 3.12 on.
        decorate = _asynchronous if iscoroutinefunction(function) else _synchronous
        return cast(F, functools.wraps(function)(decorate(type(self), function)))

    def _refuse(self) -> None:
        """Raise ModeError where the mode cannot be entered."""


def _synchronous(scope: type[_ModeScope], function: F) -> F:
    def scoped(*args: Any, **kwargs: Any) -> Any:
        with scope():
            result = function(*args, **kwargs)
        # A plain function may return what does its work later: a coroutine is awaited inside the scope too.
        return _awaited(scope, result) if inspect.isawaitable(result) else result

    return cast(F, scoped)


async def _awaited(scope: type[_ModeScope], result: Any) -> Any:
    with scope():
        return await result


def _asynchronous(scope: type[_ModeScope], function: F) -> F:
    async def scoped(*args: Any, **kwargs: Any) -> Any:
        with scope():
            return await function(*args, **kwargs)

    return cast(F, scoped)


class read_only(_ModeScope):  # noqa: N801 - a verb, used as `with read_only():`
    """Send every query of this block (or decorated function) to the twin.

    Reaches this context (contextvars): threads you start yourself begin in the process's mode.
    Raises ModeError inside an open transaction on a writer, which would go on writing.
    """

    wanted = Scope.READ_ONLY

    def _refuse(self) -> None:
        if aliases := writer_transactions():
            raise ModeError(
                f"read_only() inside an open transaction on '{aliases[0]}' would not stop its writes; "
                "enter read_only() before atomic() (in tests: TransactionTestCase)."
            )


class writable(_ModeScope):  # noqa: N801 - a verb, used as `with writable():`
    """Send the queries of this block (or decorated function) where they go in normal mode: to the writer.

    Inside a transaction of the twin they are no part of it: on the writer autocommit holds until you open
    `atomic()` there. Raises ModeError when the process is locked.
    """

    wanted = Scope.WRITABLE

    def __enter__(self) -> None:
        super().__enter__()
        end_fenced_sessions()

    def _refuse(self) -> None:
        _refuse_locked("writable()")

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        if mode.scope() is not Scope.WRITABLE:
            end_written_sessions()


def enable_writes() -> None:
    """Make this process writable, whatever the environment says; for shells.

    Raises ModeError inside a transaction, or when the process is locked.
    """
    _refuse_locked("enable_writes()")
    _change_process(ProcessMode.WRITABLE, "enable_writes()")
    end_fenced_sessions()


def disable_writes() -> None:
    """Make this process read-only; for shells. Raises ModeError inside a transaction."""
    if mode.process() is not ProcessMode.LOCKED:
        _change_process(ProcessMode.READ_ONLY, "disable_writes()")
        end_written_sessions()


def _change_process(wanted: ProcessMode, verb: str) -> None:
    if aliases := open_transactions():
        raise ModeError(f"{verb} inside an open transaction on '{aliases[0]}'; end the transaction first.")
    mode.set_process(wanted)


def _refuse_locked(verb: str) -> None:
    if mode.process() is ProcessMode.LOCKED:
        raise ModeError(
            f"{verb} in a process started with DB_READ_ONLY=locked, which holds no writer login; "
            "write from a process started without it."
        )
