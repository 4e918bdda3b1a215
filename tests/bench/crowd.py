"""Everybody who uses the site: threads that read and write, and what came of each request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.client import HTTPConnection, HTTPException
from itertools import count
from urllib.parse import quote

from tests.bench.pages import PROCESS, REFUSED, TAKEN

READERS, WRITERS = 2, 3
PAUSE_SECONDS = 0.01
PAGES = ("/", "/api/products/", "/?category=tea", "/tags/")
SECONDS = 60


class What(Enum):
    """What came of a request."""

    READ = "read"
    TAKEN = "taken"
    REFUSED = "refused"
    TURNED_AWAY = "a read that was turned away"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class Visit:
    what: What
    began: float
    ended: float
    process: int = 0
    said: str = ""


@dataclass
class Crowd:
    """The visits so far; threads append, which Python does whole."""

    address: tuple[str, int]
    visits: list[Visit] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def read(self) -> None:
        page = PAGES[next(self._numbers) % len(PAGES)]
        self._visit("GET", page, {200: What.READ, REFUSED: What.TURNED_AWAY})

    def write(self, *, seconds: float = 0.0) -> None:
        name = quote(f"visit {next(self._numbers)} of {time.monotonic()}")
        page = f"slow/?name={name}&seconds={seconds}" if seconds else f"write/?name={name}"
        self._visit("POST", f"/bench/{page}", {TAKEN: What.TAKEN, REFUSED: What.REFUSED})

    def _visit(self, method: str, page: str, meanings: dict[int, What]) -> None:
        began = time.monotonic()
        connection = HTTPConnection(*self.address, timeout=SECONDS)
        try:
            connection.request(method, page)
            response = connection.getresponse()
            response.read()
            what, said = meanings.get(response.status, What.LOST), f"{page}: {response.status}"
            process = int(response.headers.get(PROCESS, 0))
        except (OSError, HTTPException) as error:
            what, said, process = What.LOST, f"{page}: {error!r}", 0
        finally:
            connection.close()
        visit = Visit(what=what, began=began, ended=time.monotonic(), process=process, said=said)
        self.visits.append(visit)

    def since(self, moment: float, *kinds: What) -> list[Visit]:
        """Return the visits of these kinds that ended later."""
        return [visit for visit in tuple(self.visits) if visit.ended > moment and visit.what in kinds]


@contextmanager
def crowd(address: tuple[str, int]) -> Iterator[Crowd]:
    """Visit for the length of the block."""
    everybody, over = Crowd(address), threading.Event()

    def visit(once: Callable[[], None]) -> None:
        while not over.wait(PAUSE_SECONDS):
            once()

    kinds = [everybody.read] * READERS + [everybody.write] * WRITERS
    threads = [threading.Thread(target=visit, args=(once,)) for once in kinds]
    for thread in threads:
        thread.start()
    try:
        yield everybody
    finally:
        over.set()
        for thread in threads:
            thread.join()
