"""A clock that began a moment ago, as one does at boot: what never was is longer ago than anything."""

from __future__ import annotations

from readonly_router.following.followers import Follower

BOOTED = 5.0
HOUR = 3600.0


def young() -> Follower:
    return Follower("default", clock=lambda: BOOTED, ask_seconds=HOUR)


def test_a_process_that_starts_at_boot_asks_at_once() -> None:
    assert young().is_due
    assert not young().is_known


def test_nothing_was_denied_before() -> None:
    assert not young().was_denied


def test_what_was_just_now_is_recent() -> None:
    follower = young()
    assert follower.note_attempt() == BOOTED
    follower.deny()
    assert not follower.is_due
    assert follower.was_denied


def test_an_earlier_moment_does_not_take_the_place_of_a_later_one() -> None:
    now = [BOOTED]
    follower = Follower("default", clock=lambda: now[0], ask_seconds=HOUR)
    follower.note_attempt()
    now[0] -= 1.0
    follower.note_attempt()
    now[0] = BOOTED + HOUR - 0.5
    assert not follower.is_due
