"""`on --reason` and `--eta` while the switch is on: what was told is replaced, in every process."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from readonly_router import ReadOnlyError, SwitchError, get_status
from readonly_router.switch.amend import amend_switch
from tests.database import Scratch
from tests.example.shop.models import Tag
from tests.harness.pairs import wait_for
from tests.switch.follower import following_anew, met_on
from tests.switch.switching import default_of, events, read_only, spelt, state, switched

LATER = datetime(2031, 5, 17, 12, 30, tzinfo=timezone.utc)


def told(pair: Scratch) -> tuple[str, bool]:
    """Return the reason, and whether the end is more than an hour away."""
    found = state(pair)
    return found.reason, bool(found.eta and found.eta > datetime.now(timezone.utc) + timedelta(hours=1))


def test_both_are_replaced_by_an_event_of_its_own(pair: Scratch) -> None:
    receipt = switched(pair, "--reason", "moving", "--eta", "5m")
    outcome = read_only(pair, "on", "--reason", "late", "--eta", "3h")
    assert (outcome.status, "replaced" in outcome.err) == (0, True)
    assert (told(pair), events(pair)) == (("late", True), ["on", "amended"])
    assert (state(pair).event, state(pair).proved) == (receipt.event, True)


def test_what_is_not_given_stays(pair: Scratch) -> None:
    switched(pair, "--reason", "moving")
    read_only(pair, "on", "--eta", "3h")
    assert told(pair) == ("moving", True)
    read_only(pair, "on", "--reason", "late")
    assert told(pair) == ("late", True)


def test_the_same_once_more_is_nothing_to_do(pair: Scratch) -> None:
    switched(pair, "--reason", "moving")
    outcome = read_only(pair, "on", "--reason", "moving")
    assert (outcome.status, "nothing to do" in outcome.err, events(pair)) == (0, True, ["on"])


def test_it_spoils_no_receipt_and_off_opens(pair: Scratch) -> None:
    switched(pair)
    read_only(pair, "on", "--reason", "late")
    assert read_only(pair, "verify").status == 0
    assert (read_only(pair, "off").status, default_of(pair)) == (0, "off")
    assert events(pair) == ["on", "amended", "off"]


def test_the_next_window_begins_without_what_was_said_in_the_last(pair: Scratch) -> None:
    switched(pair)
    read_only(pair, "on", "--reason", "late", "--eta", "3h")
    read_only(pair, "off")
    switched(pair)
    assert told(pair) == ("", False)


def test_an_admin_replaces_it_too(pair: Scratch) -> None:
    switched(pair, "--admin-url", pair.admin_url)
    assert read_only(pair, "on", "--reason", "late", "--admin-url", pair.admin_url).status == 0
    assert state(pair).reason == "late"


def test_where_the_login_is_fenced_it_is_refused_in_one_line(pair: Scratch) -> None:
    switched(pair, "--fence", "login", "--admin-url", pair.admin_url)
    outcome = read_only(pair, "on", "--reason", "late", "--admin-url", pair.admin_url)
    assert (outcome.status, "fenced with NOLOGIN" in outcome.err.splitlines()[-1]) == (1, True)
    assert (state(pair).read_only, state(pair).proved, events(pair)) == (True, True, ["on"])


def test_a_writable_site_is_told_nothing(pair: Scratch) -> None:
    with pytest.raises(SwitchError, match="is not switched read-only"):
        amend_switch(pair.alias, reason="late")
    assert events(pair) == []


@pytest.mark.parametrize("listening", [True, False])
def test_every_process_hears_it(shop: None, listening: bool, settings: object) -> None:
    settings.READONLY_ROUTER_LISTEN = listening  # type: ignore[attr-defined]
    with following_anew():
        met_on(reason="moving")
        assert refusal() == "moving"
        amend_switch("default", reason="late", eta=LATER)
        wait_for(lambda: refusal() == "late")
        assert (get_status().reason, get_status().eta) == ("late", LATER)


def refusal() -> str:
    """Return the reason that a refused write names."""
    with pytest.raises(ReadOnlyError):
        Tag.objects.create(name="refused")
    return get_status().reason


def test_the_mark_stays_where_the_switch_does_not_move(pair: Scratch) -> None:
    switched(pair)
    before = spelt(pair)
    read_only(pair, "on", "--reason", "late")
    with pair.superuser() as superuser:
        superuser.execute(f'ALTER ROLE "{pair.writer}" IN DATABASE "{pair.name}" SET statement_timeout = 5000')
    assert set(before) < set(spelt(pair))
