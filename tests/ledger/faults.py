"""What goes wrong beside a throw's step: clients killed and stopped, the server restarted, the network cut."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import psycopg

from tests.harness.pairs import wait_for
from tests.ledger.balance import Outage
from tests.ledger.fleet import POOLED, Fleet
from tests.ledger.networks import Network
from tests.ledger.plan import Fault
from tests.ledger.servers import ENDINGS, Server

# For how long a client that was killed is missed.
ABSENT_SECONDS = 0.2


class Faults:
    """Lets things go wrong with a fleet, and with the server and the network where they are the ledger's own."""

    def __init__(self, fleet: Fleet, *, server: Server | None = None, network: Network | None = None) -> None:
        self._fleet, self._server, self._network = fleet, server, network
        self.outages: list[Outage] = []
        self.met: Counter[str] = Counter()

    @contextmanager
    def during(self, step: str, fault: Fault | None) -> Iterator[None]:
        """Let a fault of this step happen beside the block, and be over at its end."""
        if fault is None or fault.step != step or fault.kind.startswith("kill o"):
            yield
            return
        self.met[fault.kind] += 1
        with ThreadPoolExecutor(max_workers=1) as executor:
            running = executor.submit(self._meet, fault)
            yield
            running.result()

    def _meet(self, fault: Fault) -> None:
        time.sleep(fault.after)
        if fault.kind == "kill client":
            self._fleet.kill(fault.victim)
            time.sleep(ABSENT_SECONDS)
            self._fleet.start(fault.victim)
        elif fault.kind == "stop client":
            self._fleet.stop(fault.victim)
            time.sleep(fault.length)
            self._fleet.go_on(fault.victim)
        elif fault.kind in ENDINGS:
            self._record(self._everybody(), lambda: self._restart(fault.kind))
        else:
            self._record(self._far(), lambda: self._cut(fault.length))

    def _record(self, clients: frozenset[str], happen: Callable[[], None]) -> None:
        """Note the outage before it begins: a client that meets it is excused at once."""
        began = time.time()
        self.outages.append(Outage(clients=clients, began=began, ended=float("inf")))
        happen()
        self.outages[-1] = Outage(clients=clients, began=began, ended=time.time())

    def _restart(self, ending: str) -> None:
        assert self._server is not None
        self._server.restart(ending)
        for name, seat in self._fleet.seats.items():
            if POOLED in name:
                # A pooler finds out in its own time that its server is back.
                for variable in ("DATABASE_URL", "DATABASE_READONLY_URL"):
                    wait_for(partial(_answers, seat.environment[variable]))

    def _cut(self, seconds: float) -> None:
        assert self._network is not None
        self._network.cut()
        try:
            time.sleep(seconds)
        finally:
            self._network.mend()

    def _everybody(self) -> frozenset[str]:
        return frozenset(self._fleet.seats)

    def _far(self) -> frozenset[str]:
        return frozenset(name for name, seat in self._fleet.seats.items() if seat.far)


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
