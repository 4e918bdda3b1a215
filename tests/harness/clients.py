"""Threads that read and write through Django while the switch is thrown, and what became of each attempt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from django.db import connections, transaction

from readonly_router import ReadOnlyError
from tests.database import Scratch
from tests.harness.switches import read, write

# Between two attempts of a thread.
PAUSE_SECONDS = 0.002


@dataclass
class Met:
    """What the threads met: writes that were acknowledged, reads, typed refusals, and whatever must not be."""

    acknowledged: set[str] = field(default_factory=set)
    reads: int = 0
    refusals: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def clients(pair: Scratch, *, persistent: bool, in_blocks: bool = True) -> Iterator[Met]:
    """Read, read in blocks, and write meanwhile, on connections that are kept or made for each attempt."""
    met, over = Met(), threading.Event()
    attempts = [
        partial(_read, pair, met),
        partial(_read_in_a_block if in_blocks else _read, pair, met),
        *(partial(_write, pair, met, count(), f"writer {number}") for number in range(2)),
    ]
    threads = [threading.Thread(target=_repeat, args=(attempt, over, persistent)) for attempt in attempts]
    for thread in threads:
        thread.start()
    try:
        yield met
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _repeat(attempt: Callable[[], None], over: threading.Event, persistent: bool) -> None:
    try:
        while not over.wait(PAUSE_SECONDS):
            attempt()
            if not persistent:
                connections.close_all()
    finally:
        connections.close_all()


def _read(pair: Scratch, met: Met) -> None:
    try:
        answer = read(pair)
    except Exception as error:  # noqa: BLE001 - whatever keeps a read from its answer is a failure
        met.failures.append(f"read: {error!r}")
    else:
        met.reads += answer
        met.failures += [] if answer else ["read: the row is not there"]


def _read_in_a_block(pair: Scratch, met: Met) -> None:
    try:
        with transaction.atomic(using=pair.alias):
            read(pair)
            read(pair)
    except Exception as error:  # noqa: BLE001 - as above
        met.failures.append(f"read in a block: {error!r}")


def _write(pair: Scratch, met: Met, numbers: Iterator[int], who: str) -> None:
    name = f"{who}: {next(numbers)} of {id(met)}"
    try:
        write(pair, name)
    except ReadOnlyError:
        met.refusals += 1
    except Exception as error:  # noqa: BLE001 - a refusal that is not typed
        met.failures.append(f"write: {error!r}")
    else:
        met.acknowledged.add(name)
