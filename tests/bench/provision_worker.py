"""One provisioning run in a process of its own: its time by phase, WAL, xids and memory, as one line of JSON.

Argument: `ours` (readonly_router's provision) or `floor` (the bare grants, to the role BENCH_FLOOR).
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql


class Phases:
    """A stopwatch for nested phases: each second belongs to the innermost one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open = ["rest"]
        self._since = time.perf_counter()

    def switch(self) -> None:
        now = time.perf_counter()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self.switch()
        self._open.append(name)
        try:
            yield
        finally:
            self.switch()
            self._open.pop()

    def watch(self, module: Any, function: str, name: str) -> None:
        """Count every call of a module's function to a phase."""
        below = getattr(module, function)

        def watched(*args: Any, **kwargs: Any) -> Any:
            with self.phase(name):
                return below(*args, **kwargs)

        setattr(module, function, watched)


def main(kind: str) -> None:
    run = _ours() if kind == "ours" else _floor
    memory, phases = _peak_memory(), Phases()
    with psycopg.connect(os.environ["BENCH_ADMIN_URL"], autocommit=True) as meter:
        before = _meter(meter)
        began = time.perf_counter()
        statements = run(phases)
        seconds = time.perf_counter() - began
        phases.switch()
        after = _meter(meter)
    answer = {
        "seconds": seconds,
        "statements": statements,
        "wal": after[0] - before[0],
        "xids": after[1] - before[1],
        "megabytes": (_peak_memory() - memory) / 1e6,
        "phases": phases.seconds,
    }
    print(json.dumps(answer))


def _ours() -> Callable[[Phases], int]:
    import django

    django.setup()
    from readonly_router.databases import parse_url
    from readonly_router.roles import provision

    target = provision.target_for("default", admin=parse_url(os.environ, "BENCH_ADMIN_URL"))

    def run(phases: Phases) -> int:
        for module, function, name in (
            (provision.catalog, "inspect", "inspect"),
            (provision, "plan_role", "plan"),
            (provision, "apply", "apply"),
            (provision, "wait_for_older_transactions", "wait"),
            (provision, "_proof", "prove"),
            (provision.logins, "connect", "log in"),
        ):
            phases.watch(module, function, name)
        report = provision.provision(target)
        if not report.holds:
            raise SystemExit(f"The twin was not proved: {report.proof}")
        return report.statements

    return run


def _floor(phases: Phases) -> int:
    """Do what a few lines in a wiki would: no look at what is there, no wait, no proof."""
    role = sql.Identifier(os.environ["BENCH_FLOOR"])
    statements = (
        "CREATE ROLE {} LOGIN",
        "ALTER ROLE {} SET default_transaction_read_only = on",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {writer} IN SCHEMA public GRANT SELECT ON TABLES TO {}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {writer} IN SCHEMA public GRANT SELECT ON SEQUENCES TO {}",
        "GRANT USAGE ON SCHEMA public TO {}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}",
        "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {}",
    )
    writer = sql.Identifier(os.environ["BENCH_WRITER"])
    with psycopg.connect(os.environ["BENCH_ADMIN_URL"], autocommit=True) as connection:
        for statement in statements:
            connection.execute(sql.SQL(statement).format(role, writer=writer))
    return len(statements)


def _meter(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """Return the WAL position and the next xid. Neither is this database's alone: others' work counts too."""
    row = connection.execute(
        "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint, "
        "pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    ).fetchone()
    assert row is not None
    return row


def _peak_memory() -> int:
    """Return the most memory this process held at once, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux ru_maxrss begins with what the parent held.
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main(sys.argv[1])
