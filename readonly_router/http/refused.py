"""Refusals that reached a page: each is logged once per route, with what to add to READONLY_ROUTER_SKIP."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.http import HttpRequest

from ..connections import is_read_only_for_sure
from ..errors import ReadOnlyError, SessionTooLargeError
from .blame import blame, is_read

logger = logging.getLogger("readonly_router.refused")

SETTING = "READONLY_ROUTER_SKIP"
# As `line` writes them, behind whatever a formatter puts before them; in JSON the quotes are escaped.
_LINE = re.compile(
    r"\b([A-Z]+) (/.*?|\?) was refused: (?:a write|(\S+) ?(.*?))\. "
    rf'(?:Add to {SETTING}: \\?"([\w.]+)|([\w.]+) wrote itself:|Its origin)'
)


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A page that wrote while it was read; `path` is what to skip, or `view` what wrote itself."""

    method: str
    route: str
    verb: str = ""
    table: str = ""
    path: str = ""
    view: str = ""


# Of this process.
_known: dict[Refused, None] = {}


def is_of_the_mode(error: BaseException | None) -> bool:
    """Tell whether the mode is why: a writer that somebody else closed is an outage, an unreadable table a bug.

    Nor is it for a write that may have landed: "nothing was saved, try again later" would be a guess.
    """
    if isinstance(error, ReadOnlyError):
        return not error.uncertain and is_read_only_for_sure(error.alias) and not is_read(error)
    return isinstance(error, SessionTooLargeError)


def note(request: HttpRequest, error: BaseException) -> None:
    """Log a refusal the first time its route meets it; nothing that a visitor sent is in the line."""
    if not isinstance(error, ReadOnlyError):
        logger.warning("%s", error)
        return
    match = request.resolver_match
    found = blame(error, match.func if match is not None else None)
    refused = Refused(
        method=request.method or "",
        route=f"/{match.route}" if match is not None else "?",
        verb=found.verb,
        table=found.table,
        path=found.path,
        view=found.view,
    )
    if refused not in _known:
        _known[refused] = None
        logger.warning("%s", line(refused))


def line(refused: Refused) -> str:
    """Return a refusal as one line."""
    return f"{refused.method} {refused.route} was refused: {_what(refused)}. {_cure(refused)}"


def _what(refused: Refused) -> str:
    return f"{refused.verb} {refused.table}".strip() or "a write"


def _cure(refused: Refused) -> str:
    if refused.path:
        return f'Add to {SETTING}: "{refused.path}"'
    if refused.view:
        return (
            f"{refused.view} wrote itself: move the write into a function of its own, and add that to {SETTING}."
        )
    return "Its origin is not known."


def known() -> tuple[Refused, ...]:
    """Return the refusals of this process's lifetime."""
    return tuple(_known)


def forget() -> None:
    """Know of no refusal; for tests."""
    _known.clear()


def from_log(lines: Iterable[str]) -> Iterator[Refused]:
    """Return the refusals that a log tells of, each once."""
    seen: set[Refused] = set()
    for text in lines:
        if match := _LINE.search(text):
            names = ("method", "route", "verb", "table", "path", "view")
            found = Refused(**{name: value or "" for name, value in zip(names, match.groups(), strict=True)})
            if found not in seen:
                seen.add(found)
                yield found


def as_setting(found: Iterable[Refused]) -> Iterator[str]:
    """Return the lines of the setting that would skip what was refused, ready to paste."""
    told = list(found)
    yield f"{SETTING} = ["
    for path in dict.fromkeys(each.path for each in told if each.path):
        where = "; ".join(f"{each.method} {each.route}: {_what(each)}" for each in told if each.path == path)
        yield f'    "{path}",  # {where}'
    for each in told:
        if not each.path:
            yield f"    # {line(each)}"
    yield "]"
