"""A run of the ledger: the place, the fleet and all who look after them, for the length of a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from tests.ledger.audits import Auditor
from tests.ledger.balance import Imbalance
from tests.ledger.faults import Faults
from tests.ledger.fleet import fleet, seats
from tests.ledger.networks import Network
from tests.ledger.operators import operator
from tests.ledger.places import place
from tests.ledger.plan import GENTLE, ROUGH, plan
from tests.ledger.servers import Server
from tests.ledger.throws import Ledger, Result

Context = AbstractContextManager[Any]
# How many imbalances of one claim are told in whole.
TOLD = 10


def run(
    server: str,
    *,
    seed: str,
    throws: int,
    share: float,
    bouncer: str = "",
    restarts: Server | None = None,
    network: Network | None = None,
    plant: int = 0,
    safely: Callable[[Context], Context] = lambda context: context,
) -> Result:
    """Throw the switch on a server, a superuser's URL, so many times; `bouncer` is PgBouncer's HOST:PORT.

    `safely` wraps each thing that is made, where the caller holds interrupts back meanwhile.
    """
    with ExitStack() as stack:
        made = stack.enter_context(safely(place(server)))
        taken = seats(made, bouncer=bouncer, network=network)
        clients = stack.enter_context(safely(fleet(taken, seed=seed)))
        ledger = Ledger(
            operator=stack.enter_context(safely(operator(made))),
            auditor=Auditor(made),
            fleet=clients,
            faults=Faults(clients, server=restarts, network=network),
            tell=_Teller(),
        )
        kinds = ROUGH if restarts and network else GENTLE
        names = [seat.name for seat in taken]
        return ledger.run(plan(seed, throws=throws, kinds=kinds, clients=names, share=share), plant=plant)


class _Teller:
    """Prints imbalances as they are found, of each claim the first ones: one cause breaks a claim often."""

    def __init__(self) -> None:
        self._told: Counter[str] = Counter()

    def __call__(self, imbalance: Imbalance) -> None:
        self._told[imbalance.claim] += 1
        if self._told[imbalance.claim] <= TOLD:
            print(f"throw {imbalance.throw}: {imbalance.claim.upper()}: {imbalance.what}", flush=True)
