"""The books: what each client did, a line of JSON per deed, on disk before the next deed begins."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIX = ".book"
# Enough for the last hundreds of lines.
TAIL_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of a book; `at` is the client's clock, in seconds since 1970."""

    client: str
    kind: str
    at: float
    facts: Mapping[str, Any]

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the rows the deed was about."""
        return tuple(self.facts.get("keys", ()))


class Book:
    """A client's own book; each line is one write to the file, which outlives the client's SIGKILL."""

    def __init__(self, folder: Path, client: str) -> None:
        path = folder / f"{client}{SUFFIX}"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def enter(self, kind: str, **facts: Any) -> None:
        line = json.dumps({"kind": kind, "at": time.time(), **facts})
        os.write(self._descriptor, f"{line}\n".encode())


class Shelf:
    """All books of a folder, read on from where they were read to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[Path, int] = {}

    def news(self) -> Iterator[Entry]:
        """Return what was entered since the last time."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            with path.open("rb") as book:
                book.seek(self._offsets.get(path, 0))
                whole = book.read().rpartition(b"\n")[0]
            if whole:
                self._offsets[path] = self._offsets.get(path, 0) + len(whole) + 1
                yield from (_entry(path.stem, line) for line in whole.splitlines())


def _entry(client: str, line: bytes) -> Entry:
    facts = json.loads(line)
    return Entry(client=client, kind=facts.pop("kind"), at=facts.pop("at"), facts=facts)


def last_acknowledged(path: Path) -> Entry | None:
    """Return the newest acknowledgement near the end of a book."""
    with path.open("rb") as book:
        size = book.seek(0, os.SEEK_END)
        book.seek(max(0, size - TAIL_BYTES))
        lines = book.read().rpartition(b"\n")[0].splitlines()
    # The first may be the end of a line.
    for line in reversed(lines[1:] if size > TAIL_BYTES else lines):
        if b'"acknowledged"' in line:
            return _entry(path.stem, line)
    return None
