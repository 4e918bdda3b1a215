"""Refusals that reached a page: each is logged once per route, with what to add to READONLY_ROUTER_SKIP."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.http import HttpRequest

from .blame import blame

logger = logging.getLogger("readonly_router.refused")

_LINE = re.compile(r'(\S+) (\S+) was refused: (\S*) ?(\S*)\. .*?READONLY_ROUTER_SKIP: "([^"]+)"')


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A page that wrote while it was read."""

    method: str
    route: str
    verb: str
    table: str
    path: str


# Of this process, by method, route and path.
_known: dict[Refused, None] = {}


def note(request: HttpRequest, error: BaseException) -> Refused:
    """Log a refusal the first time its route meets it."""
    found = blame(error)
    match = request.resolver_match
    refused = Refused(
        method=request.method or "",
        route=f"/{match.route}" if match is not None else "?",
        verb=found.verb,
        table=found.table,
        path=found.path,
    )
    if refused not in _known:
        _known[refused] = None
        logger.warning(line(refused))
    return refused


def line(refused: Refused) -> str:
    """Return a refusal as one line."""
    what = f"{refused.verb} {refused.table}".strip() or "a write"
    cure = f'Add to READONLY_ROUTER_SKIP: "{refused.path}"' if refused.path else "Its origin is not known."
    return f"{refused.method} {refused.route} was refused: {what}. {cure}"


def known() -> tuple[Refused, ...]:
    """Return the refusals of this process's lifetime."""
    return tuple(_known)


def forget() -> None:
    """Know of no refusal; for tests."""
    _known.clear()


def from_log(lines: Iterable[str]) -> Iterator[Refused]:
    """Return the refusals that a log file tells of, each once."""
    seen: set[Refused] = set()
    for text in lines:
        if match := _LINE.search(text):
            method, route, verb, table, path = match.groups()
            found = Refused(method=method, route=route, verb=verb, table=table, path=path)
            if found not in seen:
                seen.add(found)
                yield found
