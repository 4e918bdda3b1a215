"""The balance: what the books say against what the table holds, as values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.ledger.books import Entry
from tests.ledger.clients import DONE, REFUSED

# Each key of a row with the id of the transaction that inserted it.
Rows = Mapping[str, int]
XIDS = 1 << 32
# What a client may be told, or not, by a server that went down, or a network that was cut.
OUTAGE_CLASSES = ("08", "57P")
# How the drain ends a session, in PostgreSQL's words and in PgBouncer's.
ENDED = ("57P01", "08P01")
# Both at once are two answers to one BEGIN, of which psycopg shows neither.
BOTH = re.compile(r"InternalError: received \d+ results from command 'BEGIN'")

LATE, MISSING, LANDED = "rows committed later", "acknowledged rows missing", "refused rows that landed"
READS, WRONG, UNTYPED = "failed reads", "wrong answers", "refusals untyped"
VERIFY, STATUS, STUCK = "verify not clean", "status untrue", "writers not back"
# A sequence is logged this many values ahead; recovery from a crash goes on from there (SEQ_LOG_VALS).
SKIP = 32
_OF_THE_COMMAND = re.compile(r": WRITTEN, or not to be told|^ *receipt sha256 [0-9a-f]{64}$")
_SEQUENCE = re.compile(r"sequence \S+: (\d+)(?: \(not used\))? -> (\d+)(?: \(a crash .*\))?")

CLIENTS, UNPROVED = "clients that ended", "receipts never written"
CLAIMS = (LATE, MISSING, LANDED, READS, WRONG, UNTYPED, VERIFY, STATUS, STUCK, CLIENTS, UNPROVED)

_FAILURES = {"lost": UNTYPED, "request failed": UNTYPED, "read failed": READS}


@dataclass(frozen=True, kw_only=True)
class Imbalance:
    """One claim that did not hold, in which throw, and how that shows."""

    claim: str
    throw: int
    what: str


@dataclass(frozen=True, kw_only=True)
class Outage:
    """A time in which clients may lose their connections; `clients` are the seats it reached."""

    clients: frozenset[str]
    began: float
    ended: float

    def excuses(self, entry: Entry) -> bool:
        """Return whether a client lost its connection by this outage and nothing else.

        It may meet the loss later, but not once it has done a deed that began after the outage.
        """
        lost = not entry.facts["sqlstate"] or entry.facts["sqlstate"].startswith(OUTAGE_CLASSES)
        return (
            lost
            and "WrongAnswer" not in entry.facts["error"]
            and seat_of(entry.client) in self.clients
            and entry.at >= self.began
            and entry.facts["succeeded"] <= self.ended
        )


def seat_of(client: str) -> str:
    """Return the seat of a client."""
    return client.rpartition(".")[0]


@dataclass(kw_only=True)
class Account:
    """What the books say so far."""

    acknowledged: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    last: dict[str, float] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[Entry] = field(default_factory=list)

    def take(self, entries: Iterable[Entry]) -> None:
        """Enter the news of the books."""
        for entry in entries:
            if entry.kind == DONE:
                self.acknowledged.update(entry.keys)
                self.last[seat_of(entry.client)] = entry.at
            elif entry.kind == REFUSED:
                self.refused.update(entry.keys)
                self.refusals[_refusal(entry)] += 1
            elif entry.kind == "answers":
                self.answers[seat_of(entry.client)] += entry.facts["count"]
            elif entry.kind in _FAILURES:
                self.failures.append(entry)

    def failed(self) -> tuple[Entry, ...]:
        """Return the failures since the last time."""
        found, self.failures = self.failures, []
        return tuple(found)


def _refusal(entry: Entry) -> str:
    return f"{seat_of(entry.client)} {entry.facts['sqlstate']} {entry.facts['alias']}".rstrip()


def late(receipt: Mapping[str, Any], at_receipt: Rows, before_off: Rows) -> Iterator[str]:
    """Return the rows that came or went while the switch was on, and those of transactions after the receipt."""
    horizon = receipt["horizon"]
    for key in sorted({*at_receipt} ^ {*before_off}):
        yield f"{key} {'came' if key in before_off else 'went'} after the receipt"
    for key, xid in before_off.items():
        # Transaction ids go round: https://www.postgresql.org/docs/current/routine-vacuuming.html
        after = (xid - horizon["next_xid"]) % XIDS < XIDS // 2
        if after or xid in {running % XIDS for running in horizon["running"]}:
            yield f"{key} is of transaction {xid}, and the receipt says {horizon['next_xid']}"


def missing(acknowledged: Iterable[str], rows: Rows) -> Iterator[str]:
    """Return the rows that a client was told of and that are not there."""
    return (key for key in sorted(acknowledged) if key not in rows)


def landed(refused: Iterable[str], rows: Rows) -> Iterator[str]:
    """Return the rows that a client was told were refused and that are there."""
    return (key for key in sorted(refused) if key in rows)


def is_skip(said: str) -> bool:
    """Return whether verify found sequences alone, none further on than a crash takes it."""
    # The command puts lines of its own before them.
    lines = [line.strip() for line in said.strip().splitlines() if not _OF_THE_COMMAND.search(line)]
    found = [_SEQUENCE.fullmatch(line) for line in lines]
    return bool(found) and all(match and 0 < int(match[2]) - int(match[1]) <= SKIP for match in found)


def judged(
    failures: Iterable[Entry], outages: Sequence[Outage], steps: Sequence[tuple[float, str]]
) -> Iterator[tuple[str, str]]:
    """Return each failure that nothing excuses: the claim it breaks, and its story amid the operator's steps."""
    for entry in failures:
        if any(outage.excuses(entry) for outage in outages) or _was_on_its_way(entry):
            continue
        claim = WRONG if "WrongAnswer" in entry.facts["error"] else _FAILURES[entry.kind]
        yield claim, _story(entry, steps)


def _was_on_its_way(entry: Entry) -> bool:
    """Return whether a write's session was ended with it on its way: nobody can tell what became of it."""
    facts = entry.facts
    return entry.kind == "lost" and (facts["sqlstate"] in ENDED or bool(BOTH.match(facts["error"])))


def _story(entry: Entry, steps: Sequence[tuple[float, str]]) -> str:
    facts = entry.facts
    began, step = next((step for step in reversed(steps) if step[0] <= entry.at), (entry.at, "the start"))
    return (
        f"{entry.client} {facts['sqlstate'] or 'without SQLSTATE'}: {facts['error']} (after "
        f"{entry.at - facts['began']:.3f} s, {entry.at - began:.3f} s after {step}: {facts['where']})"
    )
