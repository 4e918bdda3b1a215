"""What a thread knows of its aliases: where they lead, and the open transactions that keep them there."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from ..following.followers import Follower
from .protocols import Member


@dataclass(slots=True, kw_only=True)
class Lead:
    """Where an alias led this thread at a generation of the mode.

    `looked` is when the connection was last looked at for news; infinity where nothing is followed. `handed` is
    what `Held.handed` becomes by a look-up; None: it stays.
    """

    serving: str
    # As the engine makes it.
    wrapper: Any
    generation: int
    follower: Follower
    looked: float
    handed: str | None


class Held(threading.local):
    """The pair members of this thread that left autocommit, by alias: a hint, the wrapper knows the truth.

    `handed` is the writer's alias whose look-up led to the twin last: another thread may meet the end of the
    switch between that and the transaction. `looked` is when this thread last looked for news of a writer's alias,
    `served` whose own connection the switch led it to, `leaving` the one it left that is still to be closed, and
    `led` where the alias led last, whatever led it there.
    """

    def __init__(self) -> None:
        self.wrappers: dict[str, Member] = {}
        self.handed = ""
        self.looked: dict[str, float] = {}
        self.served: dict[str, str] = {}
        self.leaving: dict[str, Member] = {}
        self.led: dict[str, str] = {}
        self.leads: dict[str, Lead] = {}


held = Held()


def forget_what_is_over() -> None:
    """Forget the connections that hold nothing: one that is closed within its transaction tells of no end."""
    for alias, wrapper in [*held.wrappers.items()]:
        if (wrapper.connection is None or wrapper.autocommit) and not wrapper.holds_alias():
            del held.wrappers[alias]


def holds(alias: str) -> bool:
    """Return whether an open transaction of this thread keeps the alias."""
    if not held.wrappers:
        return False
    wrapper = held.wrappers.get(alias)
    return wrapper is not None and wrapper.holds_alias()
