"""What a drain decides for a session, from what PostgreSQL shows of it alone."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from readonly_router.switch.drain import Fate, Left, Since, fate
from readonly_router.switch.spec import Session

AT = datetime(2026, 1, 1, tzinfo=timezone.utc)
OLD, NEW = AT - timedelta(minutes=1), AT + timedelta(seconds=1)


def session(**facts: Any) -> Session:
    """An old idle session of a client, that was busy a moment ago, but for what is said otherwise."""
    found: dict[str, Any] = {
        "pid": 7,
        "role": "site",
        "kind": "client backend",
        "state": "idle",
        "began": OLD,
        "idle_for": 0.1,
        "open_for": None,
        "application": "",
        "client": "",
        "query": "INSERT INTO secret",
    }
    return Session(**{**found, **facts})


def decided(found: Session, *, elapsed: float = 0.0, grace: float = 5.0, through: bool = False) -> Fate:
    return fate(found, switched_at=AT, elapsed=elapsed, grace=grace, writes_through=through)


@pytest.mark.parametrize("state", ["idle", "active", "idle in transaction", None])
def test_a_session_that_began_after_the_switch_is_left(state: str | None) -> None:
    assert decided(session(began=NEW, state=state), elapsed=60) is Fate.LEFT


def test_a_session_that_was_there_as_the_drain_began_is_not_left_whatever_the_clock_says() -> None:
    assert fate(session(began=NEW), switched_at=AT, elapsed=60, grace=5, met=True) is Fate.END


def test_who_was_logging_in_at_the_switch_counts_as_met() -> None:
    since = Since.of(AT, [7], [session(pid=8)], own=frozenset())
    assert [since.has_met(session(pid=pid, began=began)) for pid, began in ((7, NEW), (8, OLD), (8, NEW))] == [
        True,
        True,
        False,
    ]


def test_a_session_that_began_at_the_same_moment_is_not_left() -> None:
    assert decided(session(began=AT)) is not Fate.LEFT


def test_an_idle_session_has_the_grace() -> None:
    assert decided(session(idle_for=0.1), elapsed=4.9) is Fate.WAIT


def test_an_idle_session_is_ended_after_the_grace() -> None:
    assert decided(session(idle_for=0.1), elapsed=5.0) is Fate.END


def test_a_session_that_was_idle_for_the_grace_already_is_ended_at_once() -> None:
    assert decided(session(idle_for=5.0), elapsed=0.0) is Fate.END


@pytest.mark.parametrize(
    "state",
    ["active", "idle in transaction", "idle in transaction (aborted)", "fastpath function call", "starting"],
)
def test_a_session_at_work_is_waited_for_however_long(state: str) -> None:
    assert decided(session(state=state, idle_for=3600.0), elapsed=3600) is Fate.WAIT


@pytest.mark.parametrize(
    "hidden",
    [
        {"state": None, "began": None, "idle_for": None, "kind": ""},
        {"state": None},
        {"state": "disabled"},
        {"began": None, "state": "active"},
    ],
)
def test_what_cannot_be_seen_is_never_taken_for_drained(hidden: dict[str, Any]) -> None:
    assert decided(session(**hidden), elapsed=3600) is Fate.WAIT


@pytest.mark.parametrize("kind", ["background worker", "walsender", "logical replication worker"])
def test_what_starts_again_by_itself_is_waited_for_even_when_it_began_later(kind: str) -> None:
    assert decided(session(kind=kind, began=NEW), elapsed=3600) is Fate.WAIT


def test_a_parallel_worker_goes_with_its_leader() -> None:
    assert decided(session(kind="parallel worker", state="active")) is Fate.LEFT


def test_a_session_that_writes_through_the_switch_is_not_left() -> None:
    assert decided(session(began=NEW, state="active"), through=True) is Fate.WAIT


def test_nothing_left_is_not_drained_without_the_lock() -> None:
    assert (Left().drained, Left(locked=True).drained) == (False, True)


@pytest.mark.parametrize("left", [{"sessions": (session(),)}, {"starting": (7,)}, {"prepared": ("x",)}])
def test_anything_left_is_not_drained(left: dict[str, Any]) -> None:
    assert not Left(**left, locked=True).drained


def test_the_text_of_a_query_is_shown_on_request_alone() -> None:
    found = Left(sessions=(session(state="active"),))
    assert ["secret" in " ".join(found.says(show_queries=shown)) for shown in (False, True)] == [False, True]


def test_a_session_says_what_helps_to_find_it() -> None:
    found = session(state="idle in transaction", application="nightly", client="10.0.0.9", open_for=61.25)
    assert found.says() == (
        "process 7 of 'site', application 'nightly', from 10.0.0.9, idle in transaction, "
        "transaction open for 61.2 s"
    )


def test_a_hidden_session_says_so() -> None:
    found = session(kind="", state=None, began=None)
    assert found.says() == "process 7 of 'site', of a kind that cannot be seen, in a state that cannot be seen"
