"""The attempts to write, as values: what is done, and how it ends at each stage of provisioning.

`write_corpus.json` holds them by group and name. Of each:

- `run`: the twin's statements, each a message of its own (`calls`: function calls without SQL);
- `ends`: the outcome as provisioned, then after the session switched `default_transaction_read_only` off, then
  hardened and switched off; `majors` where other majors of PostgreSQL end otherwise. An outcome is the SQLSTATE of
  a refusal that left nothing behind, or what an accepted attempt does: `nothing`, `lands` (what the database holds
  is changed for good), `temporary` (gone with the session), `shared` (seen by other sessions while it lasts),
  `logged` (in the write-ahead log alone). `lands 25006` landed in part before it was refused;
- `superuser`, `writer`: what they do first; `earlier`: what the twin does first, in a session before;
- `rerun`: what a second run of provisioning does about that, after which the hardened outcome holds:
  it `revokes` it, or `refuses` with a message that says so;
- `elsewhere`: in another database; `present`: a role with a session meanwhile; `options`: of the login;
- `extensions`, `since`, `configured` (settings and their values): what the server must have;
- `because`: why hardening leaves it, or what of the twin's provisioning makes the outcome what it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).with_name("write_corpus.json")
ACCEPTED = "00000"
_EFFECTS = {"nothing", "lands", "temporary", "shared", "logged"}


class Stage(IntEnum):
    """How far the twin is secured when it tries."""

    PROVISIONED = 0
    SWITCHED_OFF = 1
    HARDENED = 2


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an attempt ends: its SQLSTATE, and what it did."""

    sqlstate: str
    effect: str

    @property
    def lands(self) -> bool:
        return self.effect == "lands"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    group: str
    name: str
    ends: list[str]
    run: list[str] = field(default_factory=list)
    calls: list[list[Any]] = field(default_factory=list)
    majors: dict[str, list[str]] = field(default_factory=dict)
    superuser: list[str] = field(default_factory=list)
    writer: list[str] = field(default_factory=list)
    earlier: list[str] = field(default_factory=list)
    rerun: str = ""
    elsewhere: bool = False
    present: str = ""
    options: str = ""
    extensions: list[str] = field(default_factory=list)
    since: int = 14
    configured: dict[str, str] = field(default_factory=dict)
    because: str = ""

    def __str__(self) -> str:
        return f"{self.group}: {self.name}"

    def outcome(self, stage: Stage, major: int) -> Outcome:
        words = self.majors.get(str(major), self.ends)[stage].split()
        effect = words[0] if words[0] in _EFFECTS else "nothing"
        sqlstate = ACCEPTED if words == [effect] else words[-1]
        return Outcome(sqlstate=sqlstate, effect=effect)


def load() -> list[Attempt]:
    groups = json.loads(CORPUS.read_text())
    return [
        Attempt(group=group, name=name, **facts)
        for group, attempts in groups.items()
        for name, facts in attempts.items()
    ]
