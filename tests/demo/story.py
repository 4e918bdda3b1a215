"""The story: one function a step, its docstring the title; a step that is not as told ends it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import ExitStack

import psycopg

from .cutover import ask_status, balance, read_on, refuse_orders, serve_fleet, switch_off, switch_on, verify
from .interrupts import Interrupts
from .rehearsal import (
    compare,
    make_database,
    migrate,
    provision,
    read,
    read_again,
    refuse_commands,
    refuse_visitors,
    refuse_writes,
    switch,
    switch_back,
    write,
)
from .stage import DemoError, Stage, leftovers, staged
from .tale import Step, Tale

STEPS: tuple[Step, ...] = (
    make_database,
    migrate,
    provision,
    write,
    read,
    switch,
    read_again,
    refuse_writes,
    refuse_commands,
    refuse_visitors,
    compare,
    switch_back,
    serve_fleet,
    switch_on,
    refuse_orders,
    read_on,
    ask_status,
    verify,
    switch_off,
    balance,
)


def tell(admin: str, interrupts: Interrupts, steps: Sequence[Step] = STEPS) -> int:
    """Tell the story on a server; return the exit status."""
    with interrupts.safely(staged(admin)) as stage:
        failed = _tell_steps(stage, interrupts, steps)
    left = leftovers(stage)
    print(f"\nLeft behind: {', '.join(left) or 'nothing'}.")
    return 1 if failed or left else 0


def _tell_steps(stage: Stage, interrupts: Interrupts, steps: Sequence[Step]) -> bool:
    with ExitStack() as running:
        tale = Tale(stage=stage, interrupts=interrupts, running=running)
        for number, step in enumerate(steps, start=1):
            title = (step.__doc__ or step.__name__).partition("\n")[0]
            print(f"\n{number:>3}  {title}", flush=True)
            try:
                step(tale)
            except (DemoError, OSError, subprocess.SubprocessError, psycopg.Error) as error:
                print(f"     NOT AS TOLD: {error}\n\nStep {number} ({title}) is not as told.", flush=True)
                return True
    return False
