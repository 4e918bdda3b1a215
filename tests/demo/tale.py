"""What the steps of the story share: the stage, the processes that run beside it, and how it is told."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from .interrupts import Interrupts
from .ledger import Ledger
from .site import MANAGE, Answer, Browser, address, gunicorn, process
from .stage import DemoError, Stage

PATIENCE_SECONDS = 120


@dataclass(kw_only=True)
class Tale:
    """The story so far."""

    stage: Stage
    interrupts: Interrupts
    # What runs beside the story: the site's processes, and who uses them.
    running: ExitStack
    url: str = ""
    fleet: list[str] = field(default_factory=list)
    load: subprocess.Popen[str] | None = None
    visitors: dict[str, Browser] = field(default_factory=dict)
    read: dict[tuple[str, str], Answer] = field(default_factory=dict)
    before: str = ""
    written_after_the_receipt: int = -1

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.stage.folder / "ledger.jsonl")

    @property
    def receipt(self) -> Path:
        return self.stage.folder / "receipt.json"

    def run(self, *arguments: str, **env: str) -> tuple[int, str]:
        """Run Python with the site's environment; return its exit status and what it said."""
        with self.interrupts.safely(process({**self.stage.env, **env}, *arguments)) as child:
            said, _ = child.communicate()
            return child.returncode, said

    def manage(self, *arguments: str, status: int = 0, **env: str) -> str:
        """Run a management command that must end with this exit status."""
        ended, said = self.run(str(MANAGE), *arguments, **env)
        expect(ended == status, f"manage.py {arguments[0]} ended with {ended}: {said.strip()[-600:]}")
        return said

    def serve(self, **env: str) -> str:
        """Start the site's process, or start it again; show and return what it says of itself meanwhile."""
        self.running.close()
        log = self.stage.folder / "site.log"
        log.unlink(missing_ok=True)
        command = (str(MANAGE), "runserver", "--noreload", "--skip-checks", "127.0.0.1:0")
        child = self.running.enter_context(
            self.interrupts.safely(process({**self.stage.env, **env}, *command, log=log))
        )
        self.url = address(child, log)
        said = log.read_text()
        printed(*said.splitlines())
        return said

    def serve_fleet(self, count: int) -> None:
        """Run the site in several gunicorns instead."""
        self.running.close()
        logs = [self.stage.folder / f"gunicorn-{number}.log" for number in range(count)]
        servers = [
            self.running.enter_context(self.interrupts.safely(gunicorn(self.stage.env, log=log))) for log in logs
        ]
        self.fleet = [address(child, log) for child, log in zip(servers, logs, strict=True)]

    def orders(self) -> int:
        with self.stage.connect() as connection:
            row = connection.execute("SELECT count(*) FROM shop_order").fetchone()
        return int(row[0]) if row else 0


Step = Callable[[Tale], None]


def expect(holds: object, otherwise: str) -> None:
    if not holds:
        raise DemoError(otherwise)


def wait_for(condition: Callable[[], object], otherwise: str) -> None:
    """Wait until the condition holds, with a bound."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        expect(time.monotonic() < deadline, f"{otherwise} within {PATIENCE_SECONDS} seconds")
        time.sleep(0.02)


def typed(*lines: str) -> None:
    for line in lines:
        print(f"     $ {line}", flush=True)


def printed(*lines: str) -> None:
    """Show what a command printed, word for word."""
    for line in lines:
        print(f"     {line}", flush=True)


def found(*lines: str) -> None:
    """Show what the demo found by itself: a remark, and no command's output."""
    for line in lines:
        print(f"     # {line}", flush=True)
