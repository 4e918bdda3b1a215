"""What a query costs in calls: the mode is decided once, and what was concluded is kept while it holds."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import override_settings

import readonly_router
from readonly_router import disable_writes, enable_writes, mode, read_only, writable
from readonly_router.conf import ProcessMode
from readonly_router.connections.handler import resolve
from tests.example.shop.models import Tag
from tests.harness.pairs import wait_for
from tests.switch.follower import flipped, following_anew, listen, met_on, off, served_by, wait_until_writable

pytestmark = pytest.mark.usefixtures("shop")

OURS = str(Path(readonly_router.__file__).parent)
IN_NORMAL_MODE, IN_A_BLOCK, IN_READ_ONLY_MODE = 12, 20, 16


@pytest.fixture(autouse=True)
def follower(shop: None) -> Iterator[None]:
    with following_anew():
        yield


def get() -> None:
    Tag.objects.get(pk=1)


def block() -> None:
    with transaction.atomic():
        get()


def calls_of(act: Callable[[], Any]) -> list[str]:
    """Return the functions of the package that an act calls, once what it needs was concluded."""
    for _ in range(9):
        act()
    found: list[str] = []

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            found.append(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize("pushed", [False, True])
def test_a_query_and_a_block_call_little_of_ours_in_normal_mode(
    monkeypatch: pytest.MonkeyPatch, *, pushed: bool
) -> None:
    if pushed:
        listen(monkeypatch)
    assert len(calls_of(get)) <= IN_NORMAL_MODE
    assert len(calls_of(block)) <= IN_A_BLOCK


def test_a_connection_that_was_closed_within_its_transaction_costs_nothing_later() -> None:
    connections["default"].set_autocommit(False)
    connections["default"].close()
    assert len(calls_of(get)) <= IN_NORMAL_MODE


def test_a_query_calls_little_of_ours_in_a_read_only_process() -> None:
    disable_writes()
    assert len(calls_of(get)) <= IN_READ_ONLY_MODE


def test_a_query_calls_little_of_ours_in_a_read_only_scope() -> None:
    with read_only():
        assert len(calls_of(get)) <= IN_READ_ONLY_MODE


def test_a_query_calls_little_of_ours_under_the_switch() -> None:
    met_on()
    assert len(calls_of(get)) <= IN_READ_ONLY_MODE


def test_a_query_calls_little_of_ours_in_a_request_that_was_pinned() -> None:
    get()
    token = mode.pin(["default"])
    try:
        assert len(calls_of(get)) <= IN_NORMAL_MODE
    finally:
        mode.unpin(token)


# -- whatever changes the mode ends what was concluded


def test_each_change_of_the_mode_begins_another_generation_and_no_two_contexts_share_one() -> None:
    met_on()
    seen = [mode.here()]
    off()
    wait_until_writable()
    seen.append(mode.here())
    for change in (disable_writes, enable_writes, lambda: mode.set_process(ProcessMode.FOLLOW)):
        change()
        seen.append(mode.here())
    for scope in (read_only(), writable()):
        with scope:
            seen.append(mode.here())
    with override_settings(READONLY_ROUTER_PAIRS={"default": "readonly"}):
        seen.append(mode.here())
    seen.append(mode.here())
    assert len(set(seen)) == len(seen)


def test_what_was_concluded_is_not_kept_past_a_change_of_the_process() -> None:
    served = [served_by()]
    disable_writes()
    served.append(served_by())
    enable_writes()
    served.append(served_by())
    assert served == ["default", "readonly", "default"]


def test_nested_scopes_lead_where_each_says_and_back() -> None:
    served = []
    for _ in range(2):
        with read_only():
            served.append(served_by())
            with writable():
                served.append(served_by())
            served.append(served_by())
        served.append(served_by())
    assert served == ["readonly", "default", "readonly", "default"] * 2


def test_a_pinned_request_keeps_its_lead_past_the_switch_and_the_thread_beside_it_does_not() -> None:
    token, seen = mode.pin(["default"]), []
    calls_of(get)
    try:
        mode.set_switch("default", mode.Switch())
        beside = threading.Thread(target=lambda: seen.append(resolve("default")))
        beside.start()
        beside.join()
        assert (mode.here(), resolve("default"), seen) == (0, "default", ["readonly"])
        # Its session was ended: from then on it follows.
        mode.loosen("default")
        assert resolve("default") == "readonly"
    finally:
        mode.unpin(token)
        mode.set_switch("default", None)


def test_pairs_that_change_within_a_scope_move_the_alias_at_once() -> None:
    with read_only():
        assert resolve("default") == "readonly"
        with override_settings(READONLY_ROUTER_PAIRS={"analytics": "analytics_twin"}):
            assert resolve("default") == "default"
        assert resolve("default") == "readonly"


def test_a_connection_that_is_put_in_anothers_place_serves_at_once() -> None:
    calls_of(get)
    first = connections["default"]
    other = first.copy()
    connections["default"] = other
    try:
        assert connections["default"] is other
    finally:
        connections["default"] = first


def test_a_thread_without_autocommit_meets_the_switch_between_its_transactions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listen(monkeypatch)
    own = connections["default"]
    own.set_autocommit(False)
    assert served_by() == "default"
    own.rollback()
    assert resolve("default") == "default"
    flipped()
    wait_for(lambda: resolve("default") == "readonly")
