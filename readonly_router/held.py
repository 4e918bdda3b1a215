"""The transactions that are open in this thread, and so keep an alias on its connection."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .wrappers import PairMember


class Held(threading.local):
    """The pair members of this thread that left autocommit, by alias: a hint, the wrapper knows the truth.

    `handed` is the writer's alias whose look-up led to the twin last: another thread may meet the end of the
    switch between that and the transaction.
    """

    def __init__(self) -> None:
        self.wrappers: dict[str, PairMember] = {}
        self.handed = ""


held = Held()


def holds(alias: str) -> bool:
    """Tell whether an open transaction of this thread keeps the alias."""
    if not held.wrappers:
        return False
    wrapper = held.wrappers.get(alias)
    return wrapper is not None and wrapper.holds_alias()
