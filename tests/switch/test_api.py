"""The Python interface: verbs that return values, a status without a query, and a signal for who follows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import connections

import readonly_router
from readonly_router import ReadOnlyError, get_status, is_read_only, mode
from readonly_router.connections import handler as resolution
from readonly_router.errors import ConfigurationError, DrainError, ModeError, SwitchError
from readonly_router.mode import Status
from readonly_router.signals import read_only_changed
from readonly_router.switch import reports
from readonly_router.switch.off import switch_off
from readonly_router.switch.on import switch_on
from readonly_router.switch.receipt import Receipt
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.switch.switching import default_of, events, transaction


def ask(pair: Scratch, text: str = "SELECT 1") -> Any:
    with connections[pair.alias].cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchone()


@pytest.fixture
def heard(pair: Scratch) -> Iterator[list[dict[str, Any]]]:
    """What the signal told in this process."""
    told: list[dict[str, Any]] = []

    def receive(**news: Any) -> None:
        told.append(news)

    read_only_changed.connect(receive)
    yield told
    read_only_changed.disconnect(receive)


def test_switching_on_returns_a_receipt_for_each(pair: Scratch) -> None:
    (receipt,) = switch_on(pair.alias, grace=0, reason="why", by="ann")
    assert isinstance(receipt, Receipt)
    assert (receipt.alias, receipt.reason, receipt.by) == (pair.alias, "why", "ann")
    assert reports.verify(receipt).clean


def test_switching_off_returns_what_was_switched(pair: Scratch) -> None:
    switch_on([pair.alias], grace="0s")
    assert (switch_off(pair.alias), switch_off(pair.alias)) == ((pair.alias,), ())


def test_both_tell_their_steps_to_whom_is_named(pair: Scratch) -> None:
    told: list[str] = []
    switch_on(pair.alias, grace=0, tell=told.append)
    switch_off(pair.alias, tell=told.append)
    assert ("receipt written" in " ".join(told), "writable again" in told[-1]) == (True, True)


def test_a_listener_that_fails_leaves_the_switch_as_it_goes(pair: Scratch) -> None:
    """A terminal or a pipe that is gone must not decide."""

    def broken(_line: str) -> None:
        raise BrokenPipeError

    switch_on(pair.alias, grace=0, tell=broken)
    assert reports.state_of(pair.alias).proved
    switch_off(pair.alias, tell=broken)
    assert default_of(pair) == "off"


def test_a_missed_deadline_raises_with_the_sessions(pair: Scratch) -> None:
    with transaction(pair) as held, pytest.raises(DrainError) as missed:
        pid = held.info.backend_pid
        switch_on(pair.alias, grace=0, deadline=0.2)
    assert isinstance(missed.value, SwitchError)
    assert missed.value.sessions[0].startswith(f"process {pid} of '{pair.writer}'")


@pytest.mark.parametrize("wrong", [{"grace": "soon"}, {"deadline": -1}, {"fence": "moat"}])
def test_a_wrong_argument_is_refused_before_anything(pair: Scratch, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        switch_on(pair.alias, **wrong)
    assert events(pair) == []


def test_the_status_names_source_since_reason_and_eta(pair: Scratch) -> None:
    eta = datetime.now(timezone.utc) + timedelta(hours=1)
    before = datetime.now(timezone.utc)
    switch_on(pair.alias, grace=0, reason="moving", eta=eta, by="ann")
    ask(pair)
    status = get_status(pair.alias)
    assert (status.read_only, status.source, status.reason) == (True, "switch", "moving")
    assert (status.eta, status.by, status.alias) == (eta, "ann", pair.alias)
    assert status.since is not None
    assert before < status.since < datetime.now(timezone.utc)


def test_the_status_asks_nothing_in_normal_mode(pair: Scratch) -> None:
    ask(pair)
    with pair.superuser() as superuser:
        query = "SELECT query_start FROM pg_stat_activity WHERE usename = %s AND datname = current_database()"
        before = superuser.execute(query, [pair.writer]).fetchall()
        found = [get_status(pair.alias) for _ in range(20)]
        assert superuser.execute(query, [pair.writer]).fetchall() == before
    assert found[0] == Status(read_only=False, source="default", alias=pair.alias)


def test_a_refusal_says_the_operators_reason(pair: Scratch) -> None:
    switch_on(pair.alias, grace=0, reason="moving")
    ask(pair)
    with pytest.raises(ReadOnlyError, match=r"switched read-only since .* \(moving\)"):
        ask(pair, "INSERT INTO note (text) VALUES ('late')")


def test_the_signal_tells_a_process_that_follows(pair: Scratch, heard: list[dict[str, Any]]) -> None:
    ask(pair)
    switch_on(pair.alias, grace=0, reason="moving")
    wait_for(lambda: is_read_only(pair.alias))
    resolution.begin_request()
    ask(pair)
    switch_off(pair.alias)
    wait_for(lambda: ask(pair) and not is_read_only(pair.alias))
    assert [(news["alias"], news["read_only"]) for news in heard] == [(pair.alias, True), (pair.alias, False)]
    assert (heard[0]["sender"], heard[0]["status"].reason) == (Status, "moving")


def test_the_switch_cannot_be_thrown_inside_a_process_without_the_login(
    pair: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_READ_ONLY", "locked")
    mode.set_process(None)
    with pytest.raises(ModeError):
        switch_on(pair.alias)


def test_the_facade_offers_them() -> None:
    offered = {readonly_router.switch_on, readonly_router.switch_off, readonly_router.Receipt}
    assert offered == {switch_on, switch_off, Receipt}
