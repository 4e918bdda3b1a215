"""`manage.py work`: take tasks from standard input, one a line, and answer each with a line of JSON, for hours."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from django.core.management.base import BaseCommand
from django.db import close_old_connections, transaction

from tests.example.probes import Told, answer


class Command(BaseCommand):
    help = "Answers tasks (a word and a name) until its standard input ends; each thread of it does each task."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--tidy", action="store_true", help="close old connections around a task, as Celery does"
        )
        parser.add_argument("--atomic", action="store_true", help="do each task in a transaction")
        parser.add_argument("--threads", type=int, default=0, help="do each task in that many threads at once")

    def handle(self, *, tidy: bool, atomic: bool, threads: int, **_: Any) -> None:
        with ExitStack() as stack:
            pools = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(threads)]
            for line in sys.stdin:
                task, _, name = line.strip().partition(" ")
                work = (tidy, atomic, task)
                if pools:
                    jobs = [pool.submit(done, *work, f"{name} {n}") for n, pool in enumerate(pools)]
                    answers = [job.result() for job in jobs]
                else:
                    answers = [done(*work, name)]
                self.stdout.write(json.dumps(answers))
                self.stdout.flush()


def done(tidy: bool, atomic: bool, task: str, name: str) -> Told:
    if tidy:
        close_old_connections()
    try:
        return in_block(task, name) if atomic else answer(task, name)
    finally:
        if tidy:
            close_old_connections()


def in_block(task: str, name: str) -> Told:
    with transaction.atomic():
        found = answer(task, name)
        # What was refused leaves nothing behind, whatever the block did before.
        transaction.set_rollback(found["outcome"] != "done")
    return found
