"""What a process says of the switch: its status, its errors, and one signal for each change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from threading import Barrier
from typing import Any

import psycopg
import pytest
from django.db import connections

from readonly_router import (
    ReadOnlyError,
    Status,
    disable_writes,
    get_status,
    is_read_only,
    mode,
    read_only,
    read_only_changed,
    writable,
)
from readonly_router.connections import handler as resolution
from readonly_router.following import followers
from tests.example.shop.models import Product, Tag
from tests.harness.pairs import wait_for
from tests.switch.follower import (
    end_idle,
    flipped,
    following_anew,
    listen,
    met_on,
    off,
    on_at_once,
    served_by,
    wait_until_writable,
)

ETA = datetime(2031, 5, 17, 12, 30, tzinfo=timezone.utc)
SAID = {"reason": "moving to new disks", "eta": ETA}
THREADS = 6


@pytest.fixture(autouse=True)
def follower(shop: None) -> Iterator[None]:
    with following_anew():
        yield
        mode.set_process(None)


@contextmanager
def received() -> Iterator[list[dict[str, Any]]]:
    """Collect what is signalled in the block."""
    found: list[dict[str, Any]] = []

    def receive(**said: Any) -> None:
        found.append(said)

    read_only_changed.connect(receive)
    try:
        yield found
    finally:
        read_only_changed.disconnect(receive)


# -- the status


def test_in_normal_mode_the_status_says_nothing_more() -> None:
    served_by()
    assert get_status() == Status(read_only=False, source="default")


def test_the_status_tells_who_switched_when_why_and_until_when() -> None:
    met_on(**SAID)
    status = get_status()
    assert (status.read_only, status.source, status.reason, status.eta, status.by) == (
        True,
        "switch",
        "moving to new disks",
        ETA,
        "a test",
    )
    assert status.since is not None
    assert abs(datetime.now(timezone.utc) - status.since) < timedelta(hours=1)


def test_the_status_after_off_is_that_of_before() -> None:
    served_by()
    before = get_status()
    met_on(**SAID)
    off()
    wait_until_writable()
    assert get_status() == before


def test_the_status_tells_of_the_switch_that_is_on_and_not_of_an_earlier_one() -> None:
    met_on(reason="earlier")
    off()
    wait_until_writable()
    met_on(reason="later")
    assert get_status().reason == "later"


def test_a_refusal_tells_why_and_until_when() -> None:
    met_on(**SAID)
    with pytest.raises(ReadOnlyError, match=r"moving to new disks.*2031-05-17 12:30 UTC"):
        Tag.objects.create(name="refused")


def test_without_its_audit_events_a_switch_is_followed_all_the_same(superuser: psycopg.Connection[Any]) -> None:
    on_at_once(**SAID)
    superuser.execute("ALTER TABLE readonly_router_event RENAME TO moved")
    try:
        assert (served_by(), get_status().source, get_status().reason) == ("readonly", "switch", "")
    finally:
        superuser.execute("ALTER TABLE moved RENAME TO readonly_router_event")


@pytest.mark.parametrize("scope", [read_only, writable])
def test_a_scope_is_stronger_than_the_switch(scope: Any) -> None:
    met_on()
    with scope():
        status = get_status()
    assert (status.read_only, status.source) == (scope is read_only, "scope")


def test_a_process_that_was_made_read_only_does_not_follow_off() -> None:
    met_on()
    disable_writes()
    off()
    assert (served_by(), is_read_only(), get_status().source) == ("readonly", True, "process")


# -- the signal


def test_a_change_is_signalled_with_its_status() -> None:
    with received() as signals:
        met_on(**SAID)
        is_read_only()
        status = get_status()
    (signal,) = signals
    del signal["signal"]
    assert signal == {"sender": Status, "alias": "default", "read_only": True, "status": status}


def test_each_change_is_signalled_once() -> None:
    with received() as signals:
        served_by()
        for _ in range(2):
            met_on()
            served_by()
            off()
            wait_until_writable()
            served_by()
    assert [signal["read_only"] for signal in signals] == [True, False] * 2


def test_an_error_in_a_receiver_reaches_neither_the_query_nor_the_next_receiver() -> None:
    def fail(**_: Any) -> None:
        raise ZeroDivisionError

    read_only_changed.connect(fail)
    try:
        with received() as signals:
            met_on()
            counted = Product.objects.exists()
    finally:
        read_only_changed.disconnect(fail)
    assert (counted, len(signals)) == (True, 1)


def test_a_receiver_may_ask_the_database() -> None:
    found = []

    def ask(**_: Any) -> None:
        found.append((is_read_only(), Product.objects.exists()))

    read_only_changed.connect(ask)
    try:
        met_on()
        off()
        wait_until_writable()
    finally:
        read_only_changed.disconnect(ask)
    assert found == [(True, True), (False, True)]


@contextmanager
def at_once() -> Iterator[Callable[[Callable[[], Any]], list[Any]]]:
    """Give a function that has something done in several threads at the same moment, always the same ones."""
    barrier = Barrier(THREADS)

    def done(task: Callable[[], Any]) -> Any:
        resolution.begin_request()
        barrier.wait(timeout=30)
        return task()

    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(THREADS)]

        def each(task: Callable[[], Any]) -> list[Any]:
            return [job.result() for job in [thread.submit(done, task) for thread in threads]]

        yield each
        each(connections.close_all)


def test_threads_follow_together_and_a_change_is_signalled_once() -> None:
    with at_once() as each, received() as signals:
        before = each(served_by)
        on_at_once()
        during = each(served_by)
        off()
        wait_for(lambda: not any(each(is_read_only)))
        after = each(served_by)
    assert [set(served) for served in (before, during, after)] == [{"default"}, {"readonly"}, {"default"}]
    assert [signal["read_only"] for signal in signals] == [True, False]


def test_each_thread_leaves_its_own_session_when_another_met_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers.of("default"), "look_seconds", 0.0)
    with at_once() as each:
        each(served_by)
        listen(monkeypatch)
        met_on()
        each(served_by)
        left = each(lambda: connections.own("default").connection)
    assert left == [None] * THREADS


def test_the_reason_is_that_of_the_own_role_where_another_site_has_the_same_alias(
    superuser: psycopg.Connection[Any],
) -> None:
    flipped(reason="ours")
    superuser.execute(
        "INSERT INTO readonly_router_event"
        " (at, kind, alias, roles, reason, eta, by, os_user, host, receipt, details)"
        " SELECT now(), kind, alias, '[\"another\"]', 'theirs', eta, by, os_user, host, receipt, details"
        " FROM readonly_router_event WHERE kind = 'on' AND reason = 'ours'"
    )
    end_idle()
    assert (served_by(), get_status().reason) == ("readonly", "ours")
