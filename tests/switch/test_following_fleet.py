"""One fleet of every kind of process reads and writes while the switch is thrown on and off, twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from django.db import connections

from readonly_router.following import followers
from readonly_router.switch.off import switch_off
from readonly_router.switch.on import switch_on
from tests.example.probes import Told
from tests.example.shop.content import PRODUCTS, TAGS
from tests.harness.pairs import wait_for
from tests.snapshot import Snapshot
from tests.switch.fleet import Member, command, gunicorn, running, site_env, uvicorn

THREADED = ("--worker-class=gthread", "--threads=3")
KINDS = {
    "gunicorn sync": gunicorn("--workers=2", EXAMPLE_CONN_MAX_AGE="0"),
    "gunicorn sync, preloaded": gunicorn("--workers=2", "--preload", EXAMPLE_CONN_MAX_AGE="60"),
    "gunicorn gthread": gunicorn(*THREADED, EXAMPLE_CONN_MAX_AGE="None"),
    "gunicorn gthread, preloaded": gunicorn(*THREADED, "--preload", EXAMPLE_POOL="1"),
    "gunicorn gthread, blocks": gunicorn(*THREADED, EXAMPLE_CONN_MAX_AGE="60", EXAMPLE_ATOMIC_REQUESTS="1"),
    "gunicorn gevent": gunicorn("--worker-class=gevent", EXAMPLE_CONN_MAX_AGE="None"),
    "uvicorn": uvicorn(views="probe", EXAMPLE_CONN_MAX_AGE="None"),
    "uvicorn, pool": uvicorn(views="probe", EXAMPLE_POOL="1", EXAMPLE_POOL_MIN="2"),
    "uvicorn, async": uvicorn(views="probe-async", EXAMPLE_CONN_MAX_AGE="60"),
    "tasks, 0": command("--tidy", EXAMPLE_CONN_MAX_AGE="0"),
    "tasks, 60": command("--tidy", EXAMPLE_CONN_MAX_AGE="60"),
    "tasks, pool": command("--tidy", EXAMPLE_POOL="1", EXAMPLE_POOL_MIN="2"),
    "command": command(),
    "command, blocks": command("--atomic"),
    "command, asks": command(EXAMPLE_LISTEN="0"),
    "threads": command("--threads=3"),
    "greenlets": command("--threads=3", launcher=("-m", "gevent.monkey")),
}
THROWS = 2
PAUSE_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One task of one thread of a process, from before it was asked for to after it was answered."""

    kind: str
    task: str
    began: float
    ended: float
    told: Told

    @property
    def outcome(self) -> str:
        return str(self.told["outcome"])


@dataclass(frozen=True, kw_only=True)
class Throw:
    """When `on` was called and had its receipt, and the same of `off`."""

    on: float
    proved: float
    off: float
    opened: float


@dataclass(kw_only=True)
class Story:
    """What every process of the fleet was asked and answered, and when the switch was thrown."""

    attempts: list[Attempt] = field(default_factory=list)
    throws: list[Throw] = field(default_factory=list)
    statuses: dict[str, list[Told]] = field(default_factory=dict)
    heard: dict[str, list[list[bool]]] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    twin: str = ""

    def of(self, task: str, *, since: float = 0.0, until: float = float("inf")) -> list[Attempt]:
        """Return the attempts at a task that began and ended within a time."""
        return [a for a in list(self.attempts) if a.task == task and a.began >= since and a.ended <= until]

    def read_only(self, task: str) -> list[Attempt]:
        """Return the attempts between a receipt and the `off` that followed."""
        return [a for throw in self.throws for a in self.of(task, since=throw.proved, until=throw.off)]


def work(kind: str, member: Member, story: Story, enough: threading.Event) -> None:
    """Read and write in turn until it is enough."""
    number = 0
    while not enough.wait(PAUSE_SECONDS):
        for task in ("read", "write"):
            number += 1
            began = time.monotonic()
            answers = member.ask(task, f"{kind} {number}")
            ended = time.monotonic()
            story.attempts.extend(
                Attempt(kind=kind, task=task, began=began, ended=ended, told=told) for told in answers
            )


@contextmanager
def at_work(members: dict[str, Member], story: Story) -> Iterator[None]:
    enough = threading.Event()
    threads = [
        threading.Thread(target=work, args=(kind, member, story, enough)) for kind, member in members.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def wait_for_each(story: Story, task: str, *, since: float, said: Callable[[Attempt], bool] = bool) -> None:
    """Wait until every kind has answered a task as it should."""
    wait_for(lambda: {a.kind for a in story.of(task, since=since) if said(a)} == set(KINDS))


def is_done(attempt: Attempt) -> bool:
    return attempt.outcome == "done"


def throw(story: Story, members: dict[str, Member]) -> None:
    """Switch on, let everybody meet it, switch off, and wait until everybody writes again."""
    on = time.monotonic()
    switch_on("default", reason="a fleet", by="its operator", grace=1)
    proved = time.monotonic()
    wait_for_each(story, "read", since=proved)
    wait_for_each(story, "write", since=proved)
    off = time.monotonic()
    switch_off("default", grace=1)
    story.throws.append(Throw(on=on, proved=proved, off=off, opened=time.monotonic()))
    wait_for_each(story, "write", since=off, said=is_done)


@pytest.fixture(scope="module")
def story(filled_shop: Snapshot, django_db_blocker: Any) -> Iterator[Story]:
    """The whole story, told once; the data is put back."""
    made = Story(twin=connections.settings["readonly"]["USER"])
    try:
        with django_db_blocker.unblock(), ExitStack() as stack:
            stack.callback(switch_off)
            members = {kind: stack.enter_context(running(KINDS[kind], site_env())) for kind in KINDS}
            with at_work(members, made):
                wait_for_each(made, "write", since=0.0, said=is_done)
                for _ in range(THROWS):
                    throw(made, members)
            for kind, member in members.items():
                made.heard[kind] = [told["changes"] for _ in range(4) for told in member.ask("heard")]
        rows = filled_shop.superuser.execute("SELECT name FROM shop_tag").fetchall()
        made.tags = {name for (name,) in rows} - set(TAGS)
        yield made
    finally:
        followers.forget()
        filled_shop.restore()


def test_no_read_ever_fails(story: Story) -> None:
    assert [a for a in story.of("read") if a.outcome != "done"] == []


def test_every_read_is_whole(story: Story) -> None:
    assert [a for a in story.of("read") if set(a.told["read"]) != {len(PRODUCTS)}] == []


def test_every_write_is_done_or_refused_by_a_typed_error(story: Story) -> None:
    assert [a for a in story.of("write") if a.outcome not in {"done", "refused"}] == []


def test_from_the_receipt_to_off_every_write_is_refused(story: Story) -> None:
    assert [a for a in story.read_only("write") if a.outcome != "refused"] == []


def test_from_the_receipt_to_off_every_read_is_the_twins(story: Story) -> None:
    assert [a for a in story.read_only("read") if a.told["user"] != story.twin] == []


def test_the_first_write_after_a_receipt_was_asked_of_every_kind(story: Story) -> None:
    assert {a.kind for a in story.read_only("write")} == set(KINDS)


def test_what_was_acknowledged_is_there_and_nothing_else(story: Story) -> None:
    acknowledged = {a.told["wrote"] for a in story.of("write") if a.outcome == "done"}
    assert story.tags ^ acknowledged == set()


@pytest.mark.parametrize("kind", KINDS)
def test_each_change_is_signalled_once_in_each_process(story: Story, kind: str) -> None:
    # A worker that had no request while a switch was on did not meet it, and one that is asked just after
    # the last off may not have met that yet: but none hears the same twice.
    heard = story.heard[kind]
    assert [changes for changes in heard if any(one == next_ for one, next_ in pairwise(changes))] == []
    assert any(True in changes and False in changes for changes in heard)
