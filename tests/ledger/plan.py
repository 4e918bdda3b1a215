"""The plan: when the switch is thrown and what goes wrong meanwhile, all from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.ledger.operators import Timing

# What may go wrong: with the fleet alone, and with a server and a network of the ledger's own.
GENTLE = ("kill client", "stop client", "kill on", "kill off")
ROUGH = (*GENTLE, "restart", "crash", "cut")
# Which step of a throw it goes wrong in.
ON, WINDOW, OFF = "on", "window", "off"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that goes wrong `after` seconds into a step, for `length` seconds where it lasts."""

    kind: str
    step: str
    after: float
    length: float
    victim: str = ""


@dataclass(frozen=True, kw_only=True)
class Throw:
    """One throw: `normal` seconds before it, `window` seconds from the receipt to off.

    `patient` waits until every writer writes again before the next throw; `completes` says what an operator does
    after an `on` that was killed.
    """

    number: int
    normal: float
    window: float
    timing: Timing
    on_by_command: bool
    off_by_command: bool
    patient: bool
    completes: str
    fault: Fault | None = None


def plan(
    seed: str, *, throws: int, kinds: Sequence[str], clients: Sequence[str], share: float
) -> tuple[Throw, ...]:
    """Return the throws; `share` of them meet a fault of one of the kinds, each kind equally often."""
    random = Random(f"{seed}/plan")
    troubled = round(throws * share)
    # In an order of the seed's: a run with fewer faults than kinds does not always leave out the same.
    order = random.sample(kinds, len(kinds))
    faults = [_fault(random, order[number % len(order)], clients) for number in range(troubled)]
    every: list[Fault | None] = [*faults, *[None] * (throws - troubled)]
    random.shuffle(every)
    return tuple(_throw(random, number, fault) for number, fault in enumerate(every, 1))


def _throw(random: Random, number: int, fault: Fault | None) -> Throw:
    kind = fault.kind if fault else ""
    return Throw(
        number=number,
        normal=random.uniform(0.05, 0.5),
        window=random.uniform(0.05, 0.4),
        timing=Timing(grace=random.choice((0.0, 0.1, 0.3, 0.3, 0.5)), deadline=random.choice((2.0, 10.0, 10.0))),
        on_by_command=kind == "kill on" or random.random() < 0.1,
        off_by_command=kind == "kill off" or random.random() < 0.1,
        patient=random.random() < 0.6,
        completes=random.choice((ON, OFF)),
        fault=fault,
    )


def _fault(random: Random, kind: str, clients: Sequence[str]) -> Fault:
    step = {"kill on": ON, "kill off": OFF}.get(kind) or random.choice((ON, ON, WINDOW, OFF))
    longest = 1.2 if kind.startswith("kill o") or step == ON else 0.4
    return Fault(
        kind=kind,
        step=step,
        after=random.uniform(0.0, longest),
        length=random.choice((random.uniform(0.05, 1.0), random.uniform(1.0, 3.0))),
        victim=random.choice(clients) if kind.endswith("client") else "",
    )
