"""Requests in flight while the switch is thrown: each ends in the mode it began in, on every kind of server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from readonly_router.following import followers
from readonly_router.switch.off import switch_off
from tests.example.probes import Told
from tests.harness.pairs import wait_for
from tests.snapshot import Snapshot
from tests.switch.fleet import Member, gunicorn, running, site_env, uvicorn
from tests.switch.follower import end_idle, login, off, on

THREADED = ("--worker-class=gthread", "--threads=4")
SERVERS = {
    "gunicorn": gunicorn(*THREADED, EXAMPLE_CONN_MAX_AGE="None"),
    "gunicorn, connections of requests": gunicorn(*THREADED, EXAMPLE_CONN_MAX_AGE="0"),
    "gunicorn, pool": gunicorn(*THREADED, EXAMPLE_POOL="1"),
    "gunicorn, gevent": gunicorn("--worker-class=gevent", EXAMPLE_CONN_MAX_AGE="60"),
    "uvicorn": uvicorn(views="probe", EXAMPLE_CONN_MAX_AGE="None"),
    "uvicorn, async": uvicorn(views="probe-async", EXAMPLE_CONN_MAX_AGE="60"),
}
GRACE = 60.0
numbers = count()


@dataclass(kw_only=True)
class Story:
    """What came of the requests: by when they began, and server."""

    told: dict[str, dict[str, Told]] = field(default_factory=dict)
    # Whether `on` was still waiting when later requests were refused already.
    waited: bool = False
    tags: set[str] = field(default_factory=set)

    def outcomes(self, when: str, server: str) -> tuple[str, str, str]:
        """Return what came of a request's first write, its second, and its last read."""
        told = self.told[when][server]
        assert told["outcome"] == "done", told
        first, second, last = (told[part]["outcome"] for part in ("first", "second", "last"))
        return first, second, last


class Requests:
    """One request in flight on each server, held until all are let go."""

    def __init__(self, threads: ThreadPoolExecutor, members: dict[str, Member], task: str, name: str) -> None:
        self.members, self.name = members, name
        self.jobs: dict[str, Future[Told]] = {
            server: threads.submit(member.one, task, name + server) for server, member in members.items()
        }
        wait_for(lambda: all(member.has_begun(name + server) for server, member in members.items()))

    def finish(self) -> dict[str, Told]:
        for server, member in self.members.items():
            member.let_go(self.name + server)
        return {server: job.result() for server, job in self.jobs.items()}


def wait_for_writes(members: dict[str, Member], outcome: str) -> None:
    """Wait until a new request of each server finds its write done, or refused."""
    for server, member in members.items():
        wait_for(
            lambda server=server, member=member: member.outcome("write", f"{next(numbers)} {server}") == outcome
        )


def tell(story: Story, threads: ThreadPoolExecutor, members: dict[str, Member]) -> None:
    wait_for_writes(members, "done")
    began_writable = Requests(threads, members, "slow", "w ")
    in_blocks = Requests(threads, members, "block", "b ")
    command = threads.submit(on, grace=GRACE, deadline=GRACE)
    wait_for_writes(members, "refused")
    story.told["later"] = {server: member.one("read") for server, member in members.items()}
    story.waited = not command.done()
    story.told["writable"], story.told["block"] = began_writable.finish(), in_blocks.finish()
    # Threads that serve nobody now keep their sessions to the end of the grace.
    wait_for(lambda: bool(end_idle()) or command.done())
    command.result()

    began_read_only = Requests(threads, members, "slow", "r ")
    off()
    wait_for_writes(members, "done")
    story.told["read-only"] = began_read_only.finish()

    too_long = Requests(threads, members, "slow", "l ")
    on(grace=0.1)
    story.told["too long"] = too_long.finish()


@pytest.fixture(scope="module")
def story(filled_shop: Snapshot, django_db_blocker: Any) -> Iterator[Story]:
    """The whole story, told once; the data is put back."""
    made = Story()
    try:
        with django_db_blocker.unblock(), ExitStack() as stack:
            stack.callback(switch_off, grace=0)
            members = {server: stack.enter_context(running(SERVERS[server], site_env())) for server in SERVERS}
            tell(made, stack.enter_context(ThreadPoolExecutor(2 * len(SERVERS) + 1)), members)
            rows = filled_shop.superuser.execute("SELECT name FROM shop_tag").fetchall()
            made.tags = {name for (name,) in rows}
        yield made
    finally:
        followers.forget()
        filled_shop.restore()


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize(
    ("when", "outcomes"),
    [
        ("writable", ("done", "done", "done")),
        ("block", ("done", "done", "done")),
        ("read-only", ("refused", "refused", "done")),
        ("too long", ("done", "ended", "ended")),
    ],
    ids=["in flight at on", "in a block at on", "in flight at off", "longer than the grace"],
)
def test_a_request_ends_as_it_began(story: Story, kind: str, when: str, outcomes: tuple[str, ...]) -> None:
    assert story.outcomes(when, kind) == outcomes


@pytest.mark.parametrize("kind", SERVERS)
def test_what_requests_in_flight_wrote_is_there(story: Story, kind: str) -> None:
    written = {f"{name} {kind} {number}" for name in "wb" for number in "12"} | {f"l {kind} 1"}
    refused = {f"r {kind} {number}" for number in "12"} | {f"l {kind} 2"}
    assert (written - story.tags, refused & story.tags) == (set(), set())


def test_the_receipt_waits_for_requests_in_flight(story: Story) -> None:
    assert story.waited


@pytest.mark.parametrize("kind", SERVERS)
def test_a_later_request_reads_as_the_twin_meanwhile(story: Story, kind: str) -> None:
    told = story.told["later"][kind]
    assert (told["outcome"], told["user"]) == ("done", login("readonly"))
