"""`read_only history`: every act with who, when, why and how it ended, newest first."""

from __future__ import annotations

import getpass
import json
import socket
from typing import Any

import pytest

from readonly_router.models import Event
from tests.database import Scratch
from tests.switch.switching import read_only, switched, transaction

pytestmark = pytest.mark.usefixtures("unsettled")


def acts(pair: Scratch, *arguments: str) -> list[dict[str, Any]]:
    """Return what history says as JSON, one object a line."""
    return [json.loads(line) for line in read_only(pair, "history", "--json", *arguments).out.splitlines()]


def test_every_kind_of_act_is_listed_newest_first(pair: Scratch) -> None:
    switched(pair)
    read_only(pair, "exec", "--", "check")
    read_only(pair, "off")
    with transaction(pair):
        read_only(pair, "on", "--deadline", "100ms")
    assert [act["kind"] for act in acts(pair)] == ["undone", "on", "off", "exec", "on"]


def test_an_act_says_who_when_why_and_until_when(pair: Scratch) -> None:
    switched(pair, "--reason", "moving", "--eta", "1h", "--by", "ann")
    (act,) = acts(pair)
    assert (act["alias"], act["roles"], act["reason"], act["by"]) == (pair.alias, [pair.writer], "moving", "ann")
    assert (act["os_user"], act["host"], act["proved"]) == (getpass.getuser(), socket.gethostname(), True)
    assert act["at"] < act["eta"]


def test_who_is_the_user_of_the_host_where_nobody_is_named(pair: Scratch) -> None:
    switched(pair)
    assert acts(pair)[0]["by"] == f"{getpass.getuser()}@{socket.gethostname()}"


def test_the_acts_in_words(pair: Scratch) -> None:
    switched(pair, "--reason", "moving", "--by", "ann")
    read_only(pair, "exec", "--", "check", "--tag", "models")
    off, on = read_only(pair, "history").out.splitlines()
    assert on.startswith("20")
    assert f" {pair.alias} on by ann ({getpass.getuser()}@{socket.gethostname()}) proved (moving)" in on
    assert off.endswith("'check --tag models', exit status 0")


def test_an_on_that_was_undone_is_not_called_proved(pair: Scratch) -> None:
    with transaction(pair):
        read_only(pair, "on", "--deadline", "100ms")
    undone, on = read_only(pair, "history").out.splitlines()
    assert (" undone by " in undone, "not proved" in on) == (True, True)


def test_as_many_as_are_asked_for(pair: Scratch) -> None:
    switched(pair)
    read_only(pair, "off")
    assert [act["kind"] for act in acts(pair, "--limit", "1")] == ["off"]


def test_nothing_yet_is_nothing(pair: Scratch) -> None:
    assert read_only(pair, "history") == (0, "", "")


def test_an_event_is_a_model(pair: Scratch) -> None:
    receipt = switched(pair, "--reason", "moving")
    event = Event.objects.using(pair.alias).get()
    assert (event.kind, event.reason, event.receipt) == ("on", "moving", json.loads(receipt.to_json()))
    assert " on scratch by " in str(event)
