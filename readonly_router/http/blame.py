"""Where a refused write came from: its verb, its table, and the dotted path that would have to be skipped."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR, CO_NESTED
from itertools import pairwise
from types import CodeType, FrameType, TracebackType
from typing import Any

from django.views import View

from ..connections.blocks import READS, bare, first_word
from ..connections.refusals import INSUFFICIENT_PRIVILEGE
from ..errors import ReadOnlyError
from .application import is_applications, is_framework
from .exemptions import standing_behind

# Whatever may hold data: literals, plain and between dollars.
_LITERALS = re.compile(r"'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$", re.DOTALL)
_CHANGE = re.compile(r"\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO)\b", re.IGNORECASE)
_NAME = r'((?:"(?:[^"]|"")+"|[^\W\d][\w$]*)(?:\.(?:"(?:[^"]|"")+"|[^\W\d][\w$]*))*)'
_TABLE = re.compile(
    rf"\b(?:INTO|UPDATE|FROM|TABLE|VIEW|COPY|TRUNCATE|LOCK)\s+(?:(?:ONLY|TABLE|IF\s+(?:NOT\s+)?EXISTS)\s+)*{_NAME}",
    re.IGNORECASE,
)
# What writes in a SELECT, as PostgreSQL names it where it may not be used.
_CALLED = re.compile(r"\b(?:function|procedure|sequence)\b")
_DISPATCHER = "django.dispatch.dispatcher"


@dataclass(frozen=True, kw_only=True)
class Blame:
    """A write that was refused: `path` is the dotted path of the function or receiver it came from, if known.

    `view` is the view, or middleware, that wrote itself: nothing below it can be skipped.
    """

    verb: str = ""
    table: str = ""
    path: str = ""
    view: str = ""


def blame(error: BaseException, view: Any = None) -> Blame:
    """Return where a refusal came from, as its traceback tells; values never, for they hold data.

    `view` is what the request's address leads to.
    """
    frames = list(_frames(error.__traceback__))
    verb, table = _statement(frames)
    path, itself = _origin(_below_the_handler(frames), view)
    return Blame(verb=verb, table=table, path=path, view=itself)


def is_read(error: ReadOnlyError) -> bool:
    """Return whether a read was refused: the twin lacks a grant, and no window is the reason for that."""
    if error.sqlstate != INSUFFICIENT_PRIVILEGE or _CALLED.search(str(error.__cause__)):
        return False
    text = _text(list(_frames(error.__traceback__)))
    return first_word(text) in READS


def _frames(traceback: TracebackType | None) -> Iterator[FrameType]:
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


# -- what was refused


def _statement(frames: list[FrameType]) -> tuple[str, str]:
    text = _text(frames)
    return read(text) if text else ("", "")


def _text(frames: list[FrameType]) -> str:
    for frame in reversed(frames):
        # Django's own, and not a variable of the application's.
        text = frame.f_locals.get("sql") if _module(frame).startswith("django.db.") else None
        if isinstance(text, str):
            return text
    return ""


def read(statement: str) -> tuple[str, str]:
    """Return a statement's verb and table, as far as they can be told at a glance; never a value."""
    text = _LITERALS.sub("''", bare(statement))
    # A query that changes data names it first: WITH gone AS (DELETE FROM ...) SELECT ...
    change = _CHANGE.search(text) if text[:4].upper() == "WITH" else None
    text = text[change.start() :] if change else text
    verb = re.match(r"\w+", text)
    table = _TABLE.search(text)
    return verb[0].upper() if verb else "", table[1].replace('"', "") if table else ""


# -- where it came from


def _origin(frames: list[FrameType], view: Any) -> tuple[str, str]:
    """Return the path of the receiver, else of the outermost function below the view; or the view itself."""
    receivers = [frame for caller, frame in pairwise(frames) if _module(caller) == _DISPATCHER]
    below = frames[_last_entry(frames, view) + 1 :]
    for frame in (*receivers, *below):
        if _can_be_skipped(frame):
            return _qualified(frame), ""
    itself = next((frame for frame in frames if _is_application(frame) and not _is_nested(frame)), None)
    return "", _qualified(itself) if itself is not None else ""


def _below_the_handler(frames: list[FrameType]) -> list[FrameType]:
    """Return the frames from the view on: Django calls it in its handler, after every middleware."""
    handlers = [index for index, frame in enumerate(frames) if _module(frame).startswith("django.core.handlers.")]
    return frames[handlers[-1] + 1 :] if handlers else frames


def _last_entry(frames: list[FrameType], view: Any) -> int:
    """Return where the view, or a middleware, ends: what Django calls must answer, and cannot be skipped."""
    behind = list(standing_behind(view))
    codes = {getattr(each, "__code__", None) for each in behind}
    # A decorator may hide which class it was: any class-based view must answer.
    kinds = (View, *(each for each in behind if isinstance(each, type)))
    entry = -1
    for index, frame in enumerate(frames):
        by_django = not index or not _is_application(frames[index - 1])
        of_the_view = by_django and isinstance(frame.f_locals.get("self"), kinds)
        if frame.f_code in codes or of_the_view or _is_middleware(frames, index):
            entry = index
    return entry


def _is_middleware(frames: list[FrameType], index: int) -> bool:
    """Return whether a frame is a middleware's; what it does with a request alone may be skipped."""
    if not index:
        return _is_application(frames[0])
    name = frames[index].f_code.co_name
    return _module(frames[index - 1]) == "django.utils.deprecation" and name != "process_request"


def _is_application(frame: FrameType) -> bool:
    return not is_framework(_module(frame)) and not frame.f_code.co_filename.startswith("<frozen")


def _can_be_skipped(frame: FrameType) -> bool:
    """Return whether a frame is of an application's function that has a dotted path and may return nothing."""
    lazy = frame.f_code.co_flags & (CO_GENERATOR | CO_ASYNC_GENERATOR)
    return is_applications(_module(frame)) and not lazy and not _is_nested(frame)


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
