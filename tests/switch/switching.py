"""A pair to switch, the command as an operator runs it, and what may stand in its way."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from django.test import override_settings

from readonly_router.management.commands.read_only import Command
from readonly_router.switch import reports
from readonly_router.switch.receipt import Receipt
from readonly_router.switch.spec import State
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.site import MANAGE, SECONDS

SETTING = "default_transaction_read_only"


# -- the command


class Outcome(NamedTuple):
    """How a command ended: its exit status, and what it wrote."""

    status: int
    out: str
    err: str


def read_only(scratch: Scratch, verb: str, *arguments: str) -> Outcome:
    """Run the command on the pair as the command line would, in this process; `on` with a short grace."""
    about = () if verb == "exec" else ("--database", scratch.alias)
    grace = ("--grace", "0s") if verb == "on" and "--grace" not in arguments else ()
    # exec is about every pair, and the suite's own database has no events.
    with override_settings(READONLY_ROUTER_PAIRS={scratch.alias: scratch.twin_alias}):
        return run(verb, *about, *grace, *arguments)


def run(*arguments: str) -> Outcome:
    """Run the command as the command line would, in this process."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            Command().run_from_argv(["manage.py", "read_only", *arguments])
        except SystemExit as end:
            status = int(end.code or 0)
    return Outcome(status, out.getvalue(), err.getvalue())


def switched(scratch: Scratch, *arguments: str) -> Receipt:
    """Switch the pair on and return its receipt."""
    outcome = read_only(scratch, "on", "--json", *arguments)
    assert outcome.status == 0, outcome.err
    (found,) = json.loads(outcome.out)
    return Receipt.from_json(json.dumps(found))


@dataclass(frozen=True, kw_only=True)
class Running:
    """The command in a process of its own, its output in files."""

    process: subprocess.Popen[bytes]
    folder: Path

    def wait_for_line(self, words: str) -> None:
        """Wait until it has told of a step."""
        wait_for(lambda: words in self.err or self.process.poll() is not None)
        assert words in self.err, self.err

    def end(self, number: int | None = None) -> Outcome:
        """Wait for its end, after a signal where one is named."""
        if number is not None:
            self.process.send_signal(number)
        status = self.process.wait(timeout=SECONDS)
        return Outcome(status, (self.folder / "out").read_text(), self.err)

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text()


@contextmanager
def running(
    scratch: Scratch, folder: Path, *arguments: str, stdin: str = "", stdout: int | None = None, **env: str
) -> Iterator[Running]:
    """Run the command on the pair in a process of its own; it does not outlive the block."""
    folder.mkdir(exist_ok=True)
    (folder / "in").write_text(stdin)
    variables = {**scratch.env, "DJANGO_SETTINGS_MODULE": "tests.switch.settings", **env}
    variables.pop("DATABASE_ADMIN_URL") if "DATABASE_ADMIN_URL" not in env else None
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As a shell starts what it runs in the background; the command would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with (folder / "in").open() as given, (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, str(MANAGE), "read_only", *arguments],
            env={**os.environ, **variables},
            stdin=given,
            stdout=out if stdout is None else stdout,
            stderr=err,
        )
    try:
        yield Running(process=process, folder=folder)
    finally:
        process.kill()
        process.wait()


def process(scratch: Scratch, folder: Path, *arguments: str, stdin: str = "", **env: str) -> Outcome:
    """Run the command on the pair in a process of its own, to its end."""
    with running(scratch, folder, *arguments, stdin=stdin, **env) as command:
        return command.end()


# -- how things stand


def state(scratch: Scratch) -> State:
    """Return how the switch stands, as the package says."""
    return reports.state_of(scratch.alias)


def default_of(scratch: Scratch, user: str = "") -> str:
    """Return what a new session of the writer, or of another role, begins with: on or off."""
    with scratch.login(user or scratch.writer) as connection:
        return value(connection, f"SHOW {SETTING}")


def spelt(scratch: Scratch, user: str = "") -> list[str]:
    """Return the role's own settings in the database, as they are spelt."""
    with scratch.superuser() as superuser:
        query = """SELECT unnest(setconfig) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = setrole
            JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database() AND rolname = %s"""
        return [row[0] for row in superuser.execute(query, [user or scratch.writer])]


def events(scratch: Scratch) -> list[str]:
    """Return the kinds of the audit events, oldest first."""
    with scratch.superuser() as superuser:
        rows = superuser.execute("SELECT kind FROM readonly_router_event ORDER BY id").fetchall()
    return [row[0] for row in rows]


def notes(scratch: Scratch) -> int:
    """Return how many rows the table has."""
    with scratch.superuser() as superuser:
        return int(value(superuser, "SELECT count(*) FROM note"))


def value(connection: psycopg.Connection[Any], query: str, *values: Any) -> Any:
    """Return the first column of a query's first row."""
    return (connection.execute(query.encode(), values).fetchone() or (None,))[0]


def wait_until_blocked(scratch: Scratch, application: str = "read_only") -> None:
    """Wait until a session of an application waits for a lock."""
    query = """SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = %s AND wait_event_type = 'Lock'"""
    with scratch.superuser() as superuser:
        wait_for(lambda: value(superuser, query, application) > 0)


# -- what stands in the way


@contextmanager
def transaction(
    scratch: Scratch, user: str = "", text: str = "held", **parameters: Any
) -> Iterator[psycopg.Connection[Any]]:
    """Hold a transaction of the writer's that has written a row; left open, it is rolled back."""
    with scratch.login(user or scratch.writer, **parameters) as connection:
        connection.execute("BEGIN READ WRITE")
        connection.execute("INSERT INTO note (text) VALUES (%s)", [text])
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def locked(scratch: Scratch, mode: str = "EXCLUSIVE") -> Iterator[Callable[[], None]]:
    """Keep everybody from writing audit events, which may be read; give the function that ends it early."""
    with scratch.superuser() as superuser:
        superuser.execute("BEGIN")
        superuser.execute(f"LOCK TABLE readonly_router_event IN {mode} MODE".encode())
        yield lambda: superuser.execute("ROLLBACK") and None


SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 130, signal.SIGHUP: 130}
