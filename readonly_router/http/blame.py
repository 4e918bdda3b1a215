"""Where a refused write came from: its verb, its table, and the receiver that may be skipped, if there is one."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from inspect import CO_NESTED
from itertools import pairwise
from types import CodeType, FrameType, TracebackType
from typing import Any

from django.dispatch import Signal

from ..connections.blocks import READS, bare
from ..connections.refusals import INSUFFICIENT_PRIVILEGE
from ..errors import ReadOnlyError
from . import skipping
from .application import is_applications, is_framework
from .deciding import may_have_been_waited_for, word_of
from .records import CALLED_BY
from .statements import read

_DISPATCHER = "django.dispatch.dispatcher"
_SENDS = {getattr(Signal, name).__code__ for name in ("send", "send_robust", "asend", "asend_robust")}
# What Python makes of `await`, from 3.11 on; 3.10 has one instruction for it.
_AWAIT = frozenset({"SEND", "YIELD_VALUE", "RESUME", "JUMP_BACKWARD_NO_INTERRUPT", "END_SEND"})
# Under which name a statement stands in a frame of Django's or ours.
_STATEMENT = ("sql", "statement", "query")

Step = tuple[FrameType, int]


@dataclass(frozen=True, kw_only=True)
class Blame:
    """A write that was refused; `path` may be skipped, or `origin` tells which functions it came from."""

    verb: str = ""
    table: str = ""
    path: str = ""
    origin: str = ""


def blame(error: BaseException) -> Blame:
    """Return where a refusal came from, as its traceback tells; values never, for they hold data."""
    steps = list(_steps(error.__traceback__))
    verb, table = read(_text(steps))
    for index in range(1, len(steps)):
        if _module(steps[index - 1][0]) == _DISPATCHER and _may_be_skipped(steps, index, table):
            return Blame(verb=verb, table=table, path=_qualified(steps[index][0]))
    return Blame(verb=verb, table=table, origin=_origin([frame for frame, _ in reversed(steps)]))


def is_read(error: ReadOnlyError) -> bool:
    """Return whether a read was refused, or a function in it: the twin lacks a grant, the window is not why."""
    of_a_sequence = str(error.__cause__).startswith("permission denied for sequence")
    if error.sqlstate != INSUFFICIENT_PRIVILEGE or of_a_sequence:
        return False
    return read(_text(list(_steps(error.__traceback__))))[0] in READS


def _steps(traceback: TracebackType | None) -> Iterator[Step]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lasti
        traceback = traceback.tb_next


def _text(steps: list[Step]) -> str:
    for frame, _ in reversed(steps):
        # Django's own or ours, and not a variable of the application's.
        if _module(frame).startswith(("django.db.", "readonly_router.connections.")):
            for name in _STATEMENT:
                text = frame.f_locals.get(name)
                if isinstance(text, str | bytes) or hasattr(text, "as_string"):
                    return bare(text)
    return ""


# -- what may be skipped


def _may_be_skipped(steps: list[Step], index: int, table: str) -> bool:
    """Return whether a receiver may do nothing: nobody reads its answer, and all that is known of it says so."""
    frame = steps[index][0]
    return (
        not _is_nested(frame)
        and is_applications(_module(frame))
        and _is_unanswered(steps[:index])
        and not may_have_been_waited_for(frame.f_code, table)
        and skipping.is_allowed(_qualified(frame), frame.f_code)
    )


def _is_unanswered(steps: list[Step]) -> bool:
    """Return whether the answers to a signal are dropped where it was sent; False where that is not known."""
    sent = next((index for index in range(len(steps) - 1, 0, -1) if steps[index][0].f_code in _SENDS), 0)
    if not sent or not _drops(steps[sent - 1][0].f_code, steps[sent - 1][1]):
        return False
    return not _is_of_failures(steps[sent][0].f_locals["self"])


@lru_cache(maxsize=64)
def _is_of_failures(signal: Signal) -> bool:
    """Return whether a signal's name tells of a decision: its receivers may count against somebody."""
    return any(word_of(name) for name, each in skipping.signals() if each is signal)


def _drops(code: CodeType, at: int) -> bool:
    """Return whether the call, or the `await`, at an offset is followed by dropping its result."""
    found = [*dis.get_instructions(code)]
    # A call's offset may be that of its cache, which stands behind it.
    names = [each.opname for each, after in pairwise(found) if after.offset > at]
    passed = _AWAIT if _AWAIT.intersection(names[:1]) else frozenset()
    return next((name for name in names[1:] if name not in passed), "") == "POP_TOP"


# -- where it came from


def _origin(frames: list[FrameType]) -> str:
    """Return the function of the application that is nearest to the write, and which one called that."""
    found = [frame for frame in frames if not (_is_nested(frame) or is_framework(_module(frame)))]
    own = [frame for frame in found if is_applications(_module(frame))] or found
    return CALLED_BY.join(dict.fromkeys(map(_qualified, own[:2])))


def _is_nested(frame: FrameType) -> bool:
    return bool(frame.f_code.co_flags & CO_NESTED) or frame.f_code.co_name.startswith("<")


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _qualified(frame: FrameType) -> str:
    return f"{_module(frame)}.{_name(frame)}"


def _name(frame: FrameType) -> str:
    code = frame.f_code
    if sys.version_info >= (3, 11):
        return code.co_qualname
    return _in_class_of(frame, code) or code.co_name


def _in_class_of(frame: FrameType, code: CodeType) -> str:
    for owner in (frame.f_locals.get("self"), frame.f_locals.get("cls")):
        kind = owner if isinstance(owner, type) else type(owner)
        for each in kind.__mro__ if owner is not None else ():
            found: Any = vars(each).get(code.co_name)
            if getattr(getattr(found, "__func__", found), "__code__", None) is code:
                return f"{each.__qualname__}.{code.co_name}"
    return ""
