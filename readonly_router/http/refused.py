"""Refusals that reached a page: each is logged once per route, with what may be skipped or must be decided."""

from __future__ import annotations

import logging

from django.http import HttpRequest

from ..connections.handler import is_read_only_for_sure
from ..errors import ReadOnlyError, SessionTooLargeError
from .blame import blame, is_read
from .records import METHODS, OTHER, Refused, line

logger = logging.getLogger("readonly_router.refused")

# How many different refusals a process notes, and how long a part of one may be.
MOST, LONGEST = 500, 200

# Of this process.
_known: dict[Refused, None] = {}


def is_of_the_mode(error: BaseException | None) -> bool:
    """Return whether the mode is why: a writer that somebody else closed is an outage, unreadable rows a bug."""
    if isinstance(error, ReadOnlyError):
        return is_read_only_for_sure(error.alias) and not is_read(error)
    return isinstance(error, SessionTooLargeError)


def note(request: HttpRequest, error: BaseException) -> None:
    """Log a refusal the first time its route meets it; nothing that a visitor sent is in the line."""
    if not isinstance(error, ReadOnlyError):
        logger.warning("%s", error)
        return
    if len(_known) >= MOST:
        return
    found = _of(request, error)
    if found in _known:
        return
    _known[found] = None
    logger.warning("%s", line(found))
    if len(_known) == MOST:
        logger.warning("That is the refusal no. %s of this process: no other is noted.", MOST)


def _of(request: HttpRequest, error: ReadOnlyError) -> Refused:
    match = request.resolver_match
    found = blame(error)
    return Refused(
        # Any word may be sent as a method.
        method=request.method if request.method in METHODS else OTHER,
        route=_printable(f"/{match.route}") if match is not None else "?",
        verb=_printable(found.verb),
        table=_printable(found.table),
        path=found.path,
        origin=found.origin,
    )


def _printable(text: str) -> str:
    """Return a text as a part of one line."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[:LONGEST])[:LONGEST]


def known() -> tuple[Refused, ...]:
    """Return the refusals of this process's lifetime."""
    return tuple(_known)


def forget() -> None:
    """Know of no refusal; for tests."""
    _known.clear()
