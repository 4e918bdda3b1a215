"""The ledger: what the site answered to each order and each reader, a line each, on disk as it is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

TAKEN, REFUSED, READ, FAILED = "taken", "refused", "read", "failed"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One answer; `order` is the e-mail address that marks an order, empty for a reader."""

    server: str
    what: str
    order: str = ""
    said: str = ""


class Ledger:
    """A file of entries, written by one process and read by another."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, entry: Entry) -> None:
        """Append an entry: one write of one line, which no other comes between."""
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(entry)) + "\n")

    def entries(self, what: str, server: str = "") -> Iterator[Entry]:
        """Yield the entries of a kind, of every server or of one."""
        # The last line may be half written still.
        whole = self.path.read_text().rpartition("\n")[0] if self.path.exists() else ""
        for line in whole.splitlines():
            entry = Entry(**json.loads(line))
            if entry.what == what and server in ("", entry.server):
                yield entry

    def count(self, what: str, server: str = "") -> int:
        return sum(1 for _ in self.entries(what, server))
