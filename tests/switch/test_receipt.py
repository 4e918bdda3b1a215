"""The receipt as a value: it survives JSON, refuses what is none, and tells what moved."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import FrozenInstanceError, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readonly_router.errors import SwitchError
from readonly_router.switch.receipt import NOT_COUNTED, Horizon, Receipt, Verdict, compare

numbers = st.integers(min_value=0, max_value=2**63 - 1)
names = st.text(max_size=20)
lists = st.lists(names, max_size=3).map(tuple)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(timezones=zones)
horizons = st.builds(
    Horizon,
    system_identifier=names,
    database=names,
    database_oid=numbers,
    timeline=numbers,
    lsn=names,
    next_xid=numbers,
    running=st.lists(numbers, max_size=3).map(tuple),
    sequences=st.dictionaries(names, st.tuples(st.integers(-(2**63), 2**63 - 1), st.booleans()), max_size=3),
    steps=st.dictionaries(names, numbers, max_size=3),
    unreadable=lists,
    prepared=lists,
    counters=st.dictionaries(names, numbers, max_size=3),
    counters_since=names,
)
receipts = st.builds(
    Receipt,
    alias=names,
    horizon=horizons,
    roles=lists,
    fence=names,
    uncovered=lists,
    superusers=lists,
    switched_at=times,
    proved_at=times,
    ended=numbers,
    event=numbers,
    by=names,
    os_user=names,
    host=names,
    reason=names,
    eta=st.none() | times,
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)

HERE = Horizon(
    system_identifier="7",
    database="shop",
    database_oid=16384,
    timeline=1,
    lsn="0/1",
    next_xid=100,
    running=(90,),
    sequences={"public.s": (5, True)},
    prepared=("'parcel' of 'site'",),
    counters={"public.note": 10},
    counters_since="2026-01-01",
)
AT = datetime(2026, 1, 1, tzinfo=timezone.utc)
RECEIPT = Receipt(
    alias="default",
    horizon=HERE,
    roles=("site",),
    fence="settings",
    uncovered=(),
    superusers=("postgres",),
    switched_at=AT,
    proved_at=AT + timedelta(seconds=2),
    ended=3,
    event=1,
    by="ann",
    os_user="ann",
    host="here",
    eta=AT,
)


@given(receipts)
def test_a_receipt_survives_json(receipt: Receipt) -> None:
    assert Receipt.from_json(receipt.to_json()) == receipt


@given(receipts, st.integers(0, 4))
def test_a_receipt_survives_json_that_others_wrote_anew(receipt: Receipt, indent: int) -> None:
    assert Receipt.from_json(json.dumps(json.loads(receipt.to_json(indent=indent)))) == receipt


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Receipt)])
def test_a_receipt_cannot_be_changed(name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(RECEIPT, name, "forged")


@given(documents)
def test_a_document_that_is_no_receipt_is_refused(document: Any) -> None:
    with pytest.raises(SwitchError, match="not a receipt of read_only on"):
        Receipt.from_json(json.dumps(document))


@given(st.text())
def test_a_text_that_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(SwitchError, match="not a receipt of read_only on"):
        Receipt.from_json(text)


REQUIRED = [field.name for field in dataclasses.fields(Receipt) if field.default is dataclasses.MISSING]


@pytest.mark.parametrize("name", [*REQUIRED, "version"])
def test_a_receipt_without_a_field_is_refused(name: str) -> None:
    found = json.loads(RECEIPT.to_json())
    del found[name]
    with pytest.raises(SwitchError, match="not a receipt"):
        Receipt.from_json(json.dumps(found))


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        ("receipt", "version", 2),
        ("receipt", "surprise", 1),
        ("receipt", "alias", None),
        ("receipt", "roles", "site"),
        ("receipt", "proved_at", "yesterday"),
        ("receipt", "proved_at", None),
        ("receipt", "switched_at", "2026-01-01T00:00:00"),
        ("receipt", "horizon", []),
        ("horizon", "surprise", 1),
        ("horizon", "next_xid", "100"),
        ("horizon", "sequences", []),
        ("horizon", "sequences", {"s": 5}),
        ("horizon", "counters", {"public.note": "10"}),
        ("horizon", "counters", None),
        ("horizon", "running", 90),
    ],
)
def test_a_receipt_with_another_value_than_it_may_hold_is_refused(place: str, name: str, value: Any) -> None:
    found = json.loads(RECEIPT.to_json())
    (found if place == "receipt" else found["horizon"])[name] = value
    with pytest.raises(SwitchError, match="not a receipt"):
        Receipt.from_json(json.dumps(found))


# -- what moved


def moved(**facts: Any) -> tuple[str, ...]:
    return compare(HERE, replace(HERE, **facts)).moved


@given(horizons)
def test_the_same_place_is_clean(horizon: Horizon) -> None:
    assert compare(replace(horizon, unreadable=()), replace(horizon, unreadable=())) == Verdict()


def test_the_lsn_alone_says_nothing() -> None:
    assert compare(HERE, replace(HERE, lsn="0/9")) == Verdict()


@pytest.mark.parametrize(
    ("sequences", "line"),
    [
        ({"public.s": (6, True)}, "sequence public.s: 5 -> 6 (a crash takes it so far by itself)"),
        ({"public.s": (38, True)}, "sequence public.s: 5 -> 38"),
        ({"public.s": (4, True)}, "sequence public.s: 5 -> 4"),
        ({"public.s": (5, False)}, "sequence public.s: 5 -> 5 (not used)"),
        ({}, "sequence public.s: 5 -> not there"),
        ({"public.s": (5, True), "t": (1, False)}, "sequence t: not there -> 1 (not used)"),
    ],
)
def test_a_sequence_that_moved_is_told_though_no_id_did(sequences: dict[str, tuple[int, bool]], line: str) -> None:
    assert moved(sequences=sequences) == (line,)


@pytest.mark.parametrize(
    ("last", "step", "clean"),
    [(37, 1, True), (38, 1, False), (4, 1, False), (5 - 320, -10, True), (6, -10, False)],
)
def test_a_sequence_that_a_promotion_carried_on_is_noted_and_no_other(last: int, step: int, clean: bool) -> None:
    steps = {"public.s": step}
    found = compare(HERE, replace(HERE, timeline=2, sequences={"public.s": (last, True)}, steps=steps))
    assert (found.clean, any("public.s" in note for note in found.noted)) == (clean, clean)


def test_a_sequence_that_cannot_be_read_is_never_clean() -> None:
    assert "nothing is known of it" in moved(unreadable=("secret",))[0]


@pytest.mark.parametrize(
    ("prepared", "line"),
    [
        ((), "prepared transaction 'parcel' of 'site': ended"),
        ((*HERE.prepared, "x"), "prepared transaction x: new"),
    ],
)
def test_a_prepared_transaction_that_came_or_went_is_told(prepared: tuple[str, ...], line: str) -> None:
    assert moved(prepared=prepared) == (line,)


@pytest.mark.parametrize("ids", [{"next_xid": 101}, {"running": ()}, {"running": (90, 95)}])
def test_ids_that_moved_alone_are_noted_and_clean(ids: dict[str, Any]) -> None:
    verdict = compare(HERE, replace(HERE, **ids))
    assert (verdict.clean, verdict.noted[0].startswith("transaction ids moved: 100 with 1 running")) == (
        True,
        True,
    )


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({"counters": {"public.note": 12}}, "table public.note: 2 rows inserted, updated or deleted"),
        ({"counters": {**HERE.counters, "t": 1}}, "table t: 1 rows inserted, updated or deleted"),
        ({"counters": {"public.note": 9}}, "the server's counters were reset since"),
        ({"counters": {"other": 9}}, "the server's counters were reset since"),
        ({"counters_since": "2026-01-02"}, "the server's counters were reset since"),
        ({"counters_since": NOT_COUNTED}, "track_counts is off"),
    ],
)
def test_ids_that_moved_with_rows_are_told(facts: dict[str, Any], line: str) -> None:
    (told,) = moved(next_xid=101, **facts)
    assert told.startswith(line)


def test_a_table_that_is_gone_is_told() -> None:
    then = replace(HERE, counters={"public.note": 10, "t": 1})
    now = replace(then, next_xid=101, counters={"public.note": 10})
    assert compare(then, now).moved == ("table t: not there any more",)


def test_a_session_that_may_have_written_is_told_though_no_id_moved_yet() -> None:
    (told,) = compare(HERE, HERE, unsettled=("process 7 of 'x'",)).moved
    assert told.startswith("process 7 of 'x': may have written what is not counted yet")


@pytest.mark.parametrize("other", [{"system_identifier": "8"}, {"database_oid": 5}])
def test_another_database_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(SwitchError, match="verify it where it was written"):
        compare(HERE, replace(HERE, **other))


def test_another_timeline_is_noted() -> None:
    verdict = compare(HERE, replace(HERE, timeline=2))
    assert (verdict.clean, verdict.noted[0].startswith("timeline 1 -> 2")) == (True, True)
