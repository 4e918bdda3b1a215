"""A client of the site: a process that does one deed after the other and enters each in its book."""

from __future__ import annotations

import os
import select
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from tests.ledger.books import Book

KIND = os.environ.get("LEDGER_KIND", "")
DONE, REFUSED = "acknowledged", "refused"


class Client:
    """One process: `python -m tests.ledger.MODULE NAME FOLDER SEED`, which lives as long as its standard input."""

    def __init__(self) -> None:
        self.name, folder, seed = sys.argv[1:4]
        self.folder = Path(folder)
        self.book = Book(self.folder, self.name)
        self.random = Random(f"{seed}/{self.name}")
        self.numbers: Iterator[int] = iter(range(1, sys.maxsize))
        # When the last deed that went well began: what fails is excused by an outage only until then.
        self.succeeded = 0.0

    def lives(self, seconds: float) -> bool:
        """Wait; False when whoever started this process wants its end, or is gone."""
        return not select.select([0], [], [], seconds)[0]

    def pause(self, *, often: float, longest: float) -> None:
        """Wait at times, as code between two statements does."""
        if self.random.random() < often:
            time.sleep(self.random.random() * longest)

    def attempt(
        self, failed: str, deed: Callable[[], Any], *, expected: Callable[[Exception], bool], **facts: Any
    ) -> str:
        """Do a deed and return what became of it: done, refused (what it raised was expected), or failed.

        A failure is entered as `failed`, and a refusal as such.
        """
        began = time.time()
        try:
            deed()
        except Exception as error:  # noqa: BLE001 - whatever a client meets is for the books
            fate = REFUSED if expected(error) else failed
            story = {} if fate == REFUSED else {"where": where(error)}
            self.book.enter(fate, began=began, succeeded=self.succeeded, **told(error), **story, **facts)
            return fate
        self.succeeded = began
        return DONE


def is_typed(error: Exception) -> bool:
    """Return whether an error is the typed refusal of a write, or says that the switch ended a session in use."""
    from readonly_router import ReadOnlyError, SessionEndedError

    return isinstance(error, (ReadOnlyError, SessionEndedError))


def is_unexpected(_error: Exception) -> bool:
    """Expect nothing."""
    return False


def told(error: Exception) -> dict[str, str]:
    """Return what an error says, with its SQLSTATE, which Django's has in its cause, and a refusal's alias."""
    sqlstate = getattr(error, "sqlstate", None) or getattr(error.__cause__, "sqlstate", None) or ""
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return {"error": said, "sqlstate": sqlstate, "alias": str(getattr(error, "alias", ""))}


def where(error: Exception) -> str:
    """Return the way to an error, innermost last, to find the interleaving by."""
    frames = traceback.extract_tb(error.__traceback__)
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[2:])


def set_up_site() -> None:
    """Load the site; a client's own modules ask for its models afterwards."""
    import django

    django.setup()


def serve(client: Client, work: Callable[[], Any], *, method: str) -> None:
    """Do the work of a request as Django's handler does: signals around it, and at times the mode pinned.

    A persistent client is at times no request but a loop that runs for hours, and does as Django asks of it.
    """
    from django.core.signals import request_finished, request_started
    from django.db import close_old_connections

    if KIND == "persistent" and client.random.random() < 0.3:
        close_old_connections()
        work()
        return
    request_started.send(sender=Client)
    try:
        _pinned(work, method=method) if client.random.random() < 0.5 else work()
    finally:
        request_finished.send(sender=Client)


def _pinned(work: Callable[[], Any], *, method: str) -> None:
    from django.http import HttpRequest, HttpResponse

    from readonly_router.middleware import ReadOnlyMiddleware

    def respond(_request: HttpRequest) -> HttpResponse:
        work()
        return HttpResponse()

    request = HttpRequest()
    request.method = method
    ReadOnlyMiddleware(respond)(request)
