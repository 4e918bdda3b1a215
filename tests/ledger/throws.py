"""The throws: the switch on and off at random moments, and after each receipt everything is accounted for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.ledger import balance
from tests.ledger.audits import Auditor
from tests.ledger.balance import Account, Imbalance, Rows
from tests.ledger.books import Shelf
from tests.ledger.faults import Faults
from tests.ledger.fleet import Fleet
from tests.ledger.operators import HELD_OUT, Answer, Operator, undecided
from tests.ledger.plan import OFF, ON, WINDOW, Throw

# Until when an operator tries again, and until when every writer must have written again.
PATIENCE_SECONDS = 60


@dataclass(kw_only=True)
class Result:
    """What a run came to."""

    throws: int = 0
    receipts: int = 0
    undone: int = 0
    killed: int = 0
    rows: int = 0
    skipped: int = 0
    ended: int = 0
    excused: int = 0
    account: Account = field(default_factory=Account)
    faults: Counter[str] = field(default_factory=Counter)
    # How long each step took, in all.
    seconds: Counter[str] = field(default_factory=Counter)
    imbalances: list[Imbalance] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def broken(self, claim: str) -> int:
        """Return how often a claim did not hold."""
        return sum(imbalance.claim == claim for imbalance in self.imbalances)


class Ledger:
    """A fleet, its books, whoever throws the switch, and whoever checks."""

    def __init__(
        self,
        *,
        operator: Operator,
        auditor: Auditor,
        fleet: Fleet,
        faults: Faults,
        tell: Callable[[Imbalance], None],
    ) -> None:
        self._operator, self._auditor, self._tell = operator, auditor, tell
        self._fleet, self._faults = fleet, faults
        self._shelf = Shelf(fleet.folder)
        self._throw = 0
        self._steps: list[tuple[float, str]] = []
        self.result = Result(faults=faults.met)

    def run(self, throws: Sequence[Throw], *, plant: int = 0) -> Result:
        """Throw the switch as planned; a late write is planted in one throw where its number is given."""
        self._wait_for_writers(0.0)
        for throw in throws:
            self._throw = throw.number
            self._thrown(throw, plant=throw.number == plant)
            self.result.throws += 1
        self._end()
        return self.result

    # -- one throw

    def _thrown(self, throw: Throw, *, plant: bool) -> None:
        time.sleep(throw.normal)
        receipt = self._switched_on(throw)
        if receipt is None:
            return
        self.result.receipts += 1
        at_receipt = self._auditor.rows()
        with self._faults.during(WINDOW, throw.fault):
            time.sleep(throw.window)
        if plant:
            self._auditor.plant(throw.number)
        self._verify(receipt, throw)
        self._balance(receipt, at_receipt)
        self._switched_off(throw)
        self._take_books()
        if throw.patient:
            self._wait_for_writers(time.time())

    def _switched_on(self, throw: Throw) -> dict[str, Any] | None:
        """Switch on until there is a receipt: after an undone or failed one, or one that was killed, again."""
        kill_after = throw.fault.after if throw.fault and throw.fault.kind == "kill on" else None
        with self._faults.during(ON, throw.fault):
            answer = self._on(throw, by_command=throw.on_by_command, kill_after=kill_after)
        self._noted(answer, throw)
        if kill_after is not None:
            self.result.faults["kill on"] += answer.killed
        if answer.receipt is None and throw.completes == OFF:
            self._switched_off(throw, kill=False)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while answer.receipt is None and time.monotonic() < deadline:
            answer = self._on(throw, by_command=False)
            self._noted(answer, throw)
        if answer.receipt is None:
            self._imbalance(balance.UNPROVED, answer.said)
        return answer.receipt

    def _on(self, throw: Throw, *, by_command: bool, kill_after: float | None = None) -> Answer:
        self._step(f"on began, grace {throw.timing.grace} s")
        answer = self._operator.on(throw.timing, by_command=by_command, kill_after=kill_after)
        self._step(f"on ended with {answer.status}")
        return answer

    def _noted(self, answer: Answer, throw: Throw) -> None:
        """Note what became of an `on`, once nothing goes wrong beside it any more."""
        self.result.undone += answer.status == HELD_OUT
        self.result.killed += answer.killed
        if answer.receipt is None and not answer.killed:
            self._note(f"on, exit status {answer.status}: {answer.said}")
        self._check_status(answer, throw)

    def _switched_off(self, throw: Throw, *, kill: bool = True) -> None:
        kill_after = throw.fault.after if kill and throw.fault and throw.fault.kind == "kill off" else None
        self._step("off began")
        with self._faults.during(OFF, throw.fault):
            answer = self._operator.off(by_command=throw.off_by_command, kill_after=kill_after)
        self._step(f"off ended with {answer.status}")
        if kill_after is not None:
            self.result.faults["kill off"] += answer.killed
        self.result.killed += answer.killed
        deadline = time.monotonic() + PATIENCE_SECONDS
        while answer.status != 0 and time.monotonic() < deadline:
            if not answer.killed:
                self._note(f"off, exit status {answer.status}: {answer.said}")
            self._check_status(answer, throw)
            answer = self._operator.off(by_command=False)
        self._check_status(answer, throw)

    # -- what must hold

    def _check_status(self, answer: Answer, throw: Throw) -> None:
        """Whatever became of a command, `status` tells how the switch stands."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._auditor.is_quiet() and time.monotonic() < deadline:
            time.sleep(0.01)
        state = self._operator.status(by_command=answer.killed and throw.on_by_command)
        told, truth = (state["switch"], state["proved"]), self._auditor.truth()
        if told != truth:
            self._imbalance(balance.STATUS, f"told (on, proved) {told}, and it is {truth}")
        if answer.receipt is not None and truth != (True, True):
            self._imbalance(balance.STATUS, f"a receipt was given, and (on, proved) is {truth}")
        if answer.status == HELD_OUT and truth[0]:
            self._imbalance(balance.STATUS, "exit status 3, and the switch is on")

    def _verify(self, receipt: dict[str, Any], throw: Throw) -> None:
        """Verify the receipt; after a crash in the window a sequence may have gone on by itself."""
        self._step("verify began")
        answer = self._operator.verify(receipt, by_command=throw.on_by_command)
        if answer.status != 0 and (sessions := undecided(answer.said)):
            # As it says: again, when they are gone. PostgreSQL 14 never counts what an idle session did last.
            self.result.ended += self._auditor.end_idle(sessions)
            answer = self._operator.verify(receipt, by_command=throw.on_by_command)
        crashed = throw.fault is not None and (throw.fault.kind, throw.fault.step) == ("crash", WINDOW)
        if answer.status != 0 and crashed and balance.is_skip(answer.said):
            self.result.skipped += 1
        elif answer.status != 0:
            self._imbalance(balance.VERIFY, answer.said)

    def _balance(self, receipt: dict[str, Any], at_receipt: Rows) -> None:
        """Compare the table just before off with the receipt and with the books."""
        self._take_books()
        rows = self._auditor.rows()
        account = self.result.account
        self._imbalances(balance.LATE, balance.late(receipt, at_receipt, rows))
        self._imbalances(balance.MISSING, balance.missing(account.acknowledged, rows))
        self._imbalances(balance.LANDED, balance.landed(account.refused, rows))
        self.result.rows = len(rows)

    def _take_books(self) -> None:
        """Read the books on, and judge what failed meanwhile."""
        self.result.account.take(self._shelf.news())
        failures = self.result.account.failed()
        judged = list(balance.judged(failures, self._faults.outages, self._steps))
        self.result.excused += len(failures) - len(judged)
        for claim, what in judged:
            self._imbalance(claim, what)
        self._imbalances(balance.CLIENTS, self._fleet.dead())

    def _wait_for_writers(self, since: float) -> None:
        """Wait until every writer was acknowledged a row after this time."""
        writers = [name for name, seat in self._fleet.seats.items() if seat.writes]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            self._take_books()
            silent = [name for name in writers if self.result.account.last.get(name, 0.0) <= since]
            if not silent:
                return
            if time.monotonic() > deadline:
                self._imbalance(balance.STUCK, ", ".join(silent))
                return
            time.sleep(0.02)

    def _end(self) -> None:
        """See every writer write, end the fleet, and account for the whole once more."""
        self._wait_for_writers(time.time())
        self._fleet.end()
        self.result.account.take(self._shelf.news())
        rows = self._auditor.rows()
        self._imbalances(balance.MISSING, balance.missing(self.result.account.acknowledged, rows))
        self._imbalances(balance.LANDED, balance.landed(self.result.account.refused, rows))
        self.result.rows = len(rows)

    def _imbalances(self, claim: str, found: Any) -> None:
        for what in found:
            self._imbalance(claim, what)

    def _imbalance(self, claim: str, what: str) -> None:
        imbalance = Imbalance(claim=claim, throw=self._throw, what=what)
        if imbalance not in self.result.imbalances:
            self.result.imbalances.append(imbalance)
            self._tell(imbalance)

    def _step(self, step: str) -> None:
        """Note a step of the operator, for the stories of what failed."""
        now = time.time()
        if self._steps:
            self.result.seconds[self._steps[-1][1].partition(",")[0]] += now - self._steps[-1][0]
        self._steps.append((now, step))

    def _note(self, line: str) -> None:
        self.result.notes.append(f"throw {self._throw}: {line}")
