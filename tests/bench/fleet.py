"""A site on a database of the bench's own that can be switched, and its processes, which are asked together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.bench import OURS
from tests.bench.place import Place, place
from tests.bench.workers import Worker

# How long a process waits for anything before it gives up.
SECONDS = 60
CHANNEL = "bench"
# What a process says when its work on a question began, and the name of the time at which an operator began.
BEGUN, ASKED = "begun", "asked"

OF_OURS = {"BENCH_VARIANT": OURS, "DJANGO_SETTINGS_MODULE": "tests.bench.switch_settings"}
SHOP = {"BENCH_VARIANT": OURS, "DJANGO_SETTINGS_MODULE": "tests.bench.shop_settings"}


@contextmanager
def site(server: str, *, rows: int) -> Iterator[Place]:
    """Make the database of the small project: migrated, provisioned, and with a row for each process."""
    with _site(server, OF_OURS, "rows", count=rows) as where:
        yield where


@contextmanager
def shop(server: str) -> Iterator[Place]:
    """Make the database of the example site: migrated, provisioned, and filled."""
    with _site(server, SHOP, "fill") as where:
        yield where


@contextmanager
def _site(server: str, environment: Mapping[str, str], content: str, **arguments: int) -> Iterator[Place]:
    with place(server) as where:
        with Worker("query_worker", {**where.environment, **environment}) as worker:
            worker.ask("migrate")
            worker.ask(content, **arguments)
            worker.ask("provision")
        yield where


@contextmanager
def fleet(environment: Mapping[str, str], *, size: int) -> Iterator[list[Worker]]:
    """Run that many processes which follow."""
    with ExitStack() as stack:
        yield [stack.enter_context(Worker("switch_worker", {**OF_OURS, **environment})) for _ in range(size)]


def send_all(workers: Sequence[Worker], question: str, **arguments: Any) -> None:
    """Put a question to every process, with the key of its own row, and wait until each has begun on it."""
    for key, worker in enumerate(workers, start=1):
        worker.send(question, key=key, **arguments)
    receive_all(workers)


def receive_all(workers: Sequence[Worker]) -> list[Any]:
    return [worker.receive() for worker in workers]
