"""A clock that began a moment ago, as one does at boot: what never was is longer ago than anything."""

from __future__ import annotations

import pytest

from readonly_router.following import looking
from readonly_router.moments import Moments

BOOTED = 5.0
HOUR = 3600.0


def young() -> Moments:
    return Moments(lambda: BOOTED)


def test_what_never_was_is_not_recent() -> None:
    assert not young().within("default", HOUR)


def test_what_was_just_now_is_recent() -> None:
    moments = young()
    assert moments.note("default") == BOOTED
    assert moments.within("default", 0.1)
    assert not moments.within("other", HOUR)


def test_an_earlier_moment_does_not_take_the_place_of_a_later_one() -> None:
    moments = young()
    moments.note("default")
    moments.note("default", 1.0)
    assert moments.within("default", 0.1)


@pytest.mark.parametrize("name", ["_begun", "_denied"])
def test_a_process_that_starts_at_boot_asks_at_once(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(looking, name, young())
    monkeypatch.setattr(looking, "ASK_SECONDS", HOUR)
    monkeypatch.setattr(looking, "DENIED_SECONDS", HOUR)
    assert {"_begun": looking.due, "_denied": lambda alias: not looking.was_denied(alias)}[name]("default")
