"""The ledger in short: throws on the server at hand, and a late write that it must find."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace

import pytest

from tests.ledger import balance
from tests.ledger.books import Entry
from tests.ledger.fleet import KINDS, POOLED
from tests.ledger.runs import run
from tests.ledger.tables import table
from tests.ledger.throws import Result

THROWS = 20
# How many of them meet a fault: a client or a command is killed, a client stands still.
SHARE = 0.4


@pytest.fixture
def seed() -> str:
    """Where plan and clients come from; printed, and shown when a test fails."""
    found = os.environ.get("LEDGER_SEED") or secrets.token_hex(4)
    print(f"LEDGER_SEED={found}")
    return found


@pytest.mark.slow
def test_every_row_is_accounted_for_after_each_of_twenty_receipts(
    server: str, seed: str, bouncer_way: str
) -> None:
    result = run(server, seed=seed, throws=THROWS, share=SHARE, bouncer=bouncer_way)
    print("\n".join((*table({"here": result}), *result.notes)))
    assert (result.imbalances, result.receipts) == ([], THROWS)
    assert _idle(result, bouncer_way) == []


def _idle(result: Result, bouncer_way: str) -> list[str]:
    """Return who had nothing to lose: each kind is to be answered, and to be refused."""
    kinds = (*KINDS, POOLED) if bouncer_way else KINDS
    readers = [f"reader-{kind}" for kind in kinds if not result.account.answers[f"reader-{kind}"]]
    refused = {who.split()[0] for who in result.account.refusals}
    return [*readers, *sorted({"plain", *(f"writer-{kind}" for kind in kinds)} - refused)]


@pytest.mark.slow
def test_a_late_write_is_found_by_verify_and_by_the_ledger(server: str, seed: str) -> None:
    result = run(server, seed=seed, throws=1, share=0.0, plant=1)
    assert {imbalance.claim for imbalance in result.imbalances} == {balance.LATE, balance.VERIFY}
    assert any("shop_pageview" in found.what for found in result.imbalances if found.claim == balance.VERIFY)


# -- the balance by itself


MOVED = "sequence public.note_id_seq: 27461 -> 27468 (a crash takes it so far by itself)"
BY_COMMAND = f"default: WRITTEN, or not to be told since 2026-01-01\n  receipt sha256 {'0f' * 32}\n  {MOVED}\n"


@pytest.mark.parametrize("said", [MOVED, BY_COMMAND, f"{BY_COMMAND}\n"])
def test_a_sequence_that_a_crash_took_on_is_told_from_what_was_written(said: str) -> None:
    assert balance.is_skip(said)
    assert not balance.is_skip(f"{said}\n  table public.note: 1 rows inserted, updated or deleted")
    assert not balance.is_skip(said.replace("27468", "27561"))


RECEIPT = {"horizon": {"next_xid": 1000, "running": [990]}}


def test_nothing_moved_is_balanced() -> None:
    assert list(balance.late(RECEIPT, {"a": 900}, {"a": 900})) == []


@pytest.mark.parametrize(
    ("at_receipt", "before_off"),
    [
        pytest.param({"a": 900}, {"a": 900, "b": 901}, id="a row came"),
        pytest.param({"a": 900, "b": 901}, {"a": 900}, id="a row went"),
        pytest.param({"a": 1000}, {"a": 1000}, id="a transaction began after the receipt, before the look"),
        pytest.param({"a": 990}, {"a": 990}, id="a transaction was under way at the receipt"),
        pytest.param({"a": 3}, {"a": 3}, id="ids went round"),
    ],
)
def test_a_late_row_is_an_imbalance(at_receipt: dict[str, int], before_off: dict[str, int]) -> None:
    receipt = {"horizon": {"next_xid": (1 << 32) - 5, "running": []}} if at_receipt == {"a": 3} else RECEIPT
    assert len(list(balance.late(receipt, at_receipt, before_off))) == 1


def test_an_acknowledged_row_that_is_not_there_is_an_imbalance() -> None:
    assert list(balance.missing({"a", "b"}, {"a": 900})) == ["b"]


def test_a_refused_row_that_is_there_is_an_imbalance() -> None:
    assert list(balance.landed({"a", "b"}, {"a": 900})) == ["a"]


def failure(
    *, at: float, succeeded: float = 0.0, sqlstate: str = "57P01", error: str = "OperationalError"
) -> Entry:
    facts = {"began": at - 0.1, "succeeded": succeeded, "sqlstate": sqlstate, "error": error, "where": ""}
    return Entry(client="reader-pool.1", kind="read failed", at=at, facts=facts)


OUTAGE = balance.Outage(clients=frozenset({"reader-pool"}), began=10.0, ended=20.0)


@pytest.mark.parametrize(
    ("found", "claims"),
    [
        pytest.param(failure(at=15.0), [], id="within the outage"),
        pytest.param(failure(at=25.0, succeeded=9.0), [], id="met later, by a connection from before"),
        pytest.param(failure(at=9.0), [balance.READS], id="before the outage"),
        pytest.param(failure(at=25.0, succeeded=21.0), [balance.READS], id="after a good deed since"),
        pytest.param(failure(at=15.0, sqlstate="25006"), [balance.READS], id="no lost connection"),
        pytest.param(
            failure(at=15.0, sqlstate="", error="WrongAnswerError"), [balance.WRONG], id="a wrong answer"
        ),
    ],
)
def test_a_failure_is_excused_by_an_outage_alone(found: Entry, claims: list[str]) -> None:
    assert [claim for claim, _ in balance.judged([found], [OUTAGE], [])] == claims


@pytest.mark.parametrize(
    ("sqlstate", "error", "claims"),
    [
        ("57P01", "OperationalError", []),
        ("08P01", "OperationalError", []),
        ("", "InternalError: received 2 results from command 'BEGIN'", []),
        ("", "OperationalError", [balance.UNTYPED]),
        ("", "InternalError: received 2 results from command 'INSERT'", [balance.UNTYPED]),
    ],
)
def test_a_write_whose_session_was_ended_with_it_on_its_way_may_go_without_a_refusal(
    sqlstate: str, error: str, claims: list[str]
) -> None:
    found = replace(failure(at=9.0, sqlstate=sqlstate, error=error), kind="lost")
    assert [claim for claim, _ in balance.judged([found], [], [])] == claims
