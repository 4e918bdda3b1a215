"""Where a refused write came from: its verb, its table, and the dotted path that would have to be skipped."""

from __future__ import annotations

import itertools
import re
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FrameType, TracebackType
from typing import Any

_STATEMENT = re.compile(
    r'^\s*(INSERT\s+INTO|UPDATE|DELETE\s+FROM|\w+)(?:\s+(?:ONLY\s+)?((?:"[^"]+"|[\w.])+))?', re.IGNORECASE
)
_LIBRARY = (sysconfig.get_path("stdlib"), "<frozen")
_OURS = __name__.rpartition(".")[0]


@dataclass(frozen=True, kw_only=True)
class Blame:
    """A write that was refused: `path` is the dotted path of the function or receiver it came from, if known."""

    verb: str = ""
    table: str = ""
    path: str = ""


def blame(error: BaseException) -> Blame:
    """Return where a refusal came from, as its traceback tells; values never, for they hold data."""
    frames = list(_frames(error.__traceback__))
    verb, table = _statement(frames)
    return Blame(verb=verb, table=table, path=_path(frames))


def _frames(traceback: TracebackType | None) -> Iterator[FrameType]:
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _statement(frames: list[FrameType]) -> tuple[str, str]:
    for frame in reversed(frames):
        text = frame.f_locals.get("sql")
        if isinstance(text, str) and (match := _STATEMENT.match(text)):
            table = (match[2] or "").replace('"', "") if " " in match[1] or match[1].upper() == "UPDATE" else ""
            return match[1].split()[0].upper(), table
    return "", ""


def _path(frames: list[FrameType]) -> str:
    """Return the receiver, else the outermost function of the application below the view, else the view."""
    below = _below_the_handler(frames)
    for caller, frame in itertools.pairwise(below):
        if _module(caller) == "django.dispatch.dispatcher" and _is_application(frame):
            return _qualified(frame)
    application = [frame for frame in below if _is_application(frame)]
    chosen = application[1] if len(application) > 1 else next(iter(application), None)
    return _qualified(chosen) if chosen is not None else ""


def _below_the_handler(frames: list[FrameType]) -> list[FrameType]:
    """Return the frames from the view on: Django calls it in its handler, after every middleware."""
    handlers = [index for index, frame in enumerate(frames) if _module(frame) == "django.core.handlers.base"]
    return frames[handlers[-1] + 1 :] if handlers else frames


def _is_application(frame: FrameType) -> bool:
    module = _module(frame)
    top = module.partition(".")[0]
    return top not in {
        "django",
        "asgiref",
        "psycopg",
        "psycopg_pool",
        _OURS,
    } and not frame.f_code.co_filename.startswith(_LIBRARY)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _qualified(frame: FrameType) -> str:
    return f"{_module(frame)}.{_name(frame)}"


def _name(frame: FrameType) -> str:
    code = frame.f_code
    if sys.version_info >= (3, 11):
        return code.co_qualname
    for owner in (frame.f_locals.get("self"), frame.f_locals.get("cls")):
        kind = owner if isinstance(owner, type) else type(owner)
        if owner is not None and (found := _in_class(kind, code)):
            return found
    return code.co_name


def _in_class(kind: type, code: CodeType) -> str:
    for each in kind.__mro__:
        found: Any = vars(each).get(code.co_name)
        if getattr(getattr(found, "__func__", found), "__code__", None) is code:
            return f"{each.__qualname__}.{code.co_name}"
    return ""
