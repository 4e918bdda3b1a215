"""The example site served as on a host, thrown by its operators, and the database behind it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import Request

import psycopg
from psycopg import sql

from readonly_router.mark import MARKED
from tests import database
from tests.http.visitor import Answer, Visitor
from tests.site import MANAGE, Site

ROOT = MANAGE.parent.parent.parent
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.http.operators"}
# Waits for the end of its standard input, which comes however the suite ends; then nothing of the group is left.
WATCHER = '{ "$@" </dev/null; kill -KILL 0; } & read -r _; kill -KILL 0'
GUNICORN = (
    *("-m", "gunicorn", "tests.example.wsgi:application", "--bind", "fd://{fd}"),
    *("--config", "python:tests.http.gunicorn_config"),
)
THREADS = (*GUNICORN, "--threads", "4")
UVICORN = (
    "-c",
    "import socket, sys, uvicorn\n"
    "config = uvicorn.Config('tests.example.asgi:application', log_level='warning', access_log=False)\n"
    "uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])",
    "{fd}",
)

# One process makes it all: what takes its time is starting one.
MAKE = """
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from tests.example.shop.content import fill

call_command("migrate", verbosity=0)
call_command("create_readonly_role")
fill()
for name, codename in (("viewer", "view_event"), ("operator", "switch")):
    user = User.objects.create_user(name, password=name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename=codename))
"""


@contextmanager
def operated(server: str) -> Iterator[Site]:
    """Make the site with the apps of these tests: with one who may only look, and one who throws the switch."""
    with database.scratch(server) as scratch, scratch.superuser() as superuser:
        env = {name: value for name, value in scratch.env.items() if name != "DATABASE_ADMIN_URL"}
        made = Site(scratch=scratch, superuser=superuser, env={**env, **SETTINGS})
        done = made.python(MAKE, DATABASE_ADMIN_URL=scratch.admin_url)
        assert done.returncode == 0, done.stderr
        yield made


@contextmanager
def served(made: Site, words: tuple[str, ...] = THREADS, **env: str) -> Iterator[str]:
    """Serve the site and return its address; all of it has ended when the block has."""
    with (
        tempfile.TemporaryDirectory(prefix="operators-") as folder,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        around = {**os.environ, **made.env, "HOME": folder, **env}
        spelt = [word.replace("{fd}", str(listener.fileno())) for word in words]
        with (Path(folder) / "log").open("w") as log:
            server = subprocess.Popen(
                ("sh", "-c", WATCHER, "server-watcher", sys.executable, *spelt),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=around,
                pass_fds=(listener.fileno(),),
                start_new_session=True,
            )
        # It listens already, and who asks too early waits; but for a server that ended nobody does.
        listener.close()
        try:
            yield address
        finally:
            # Its group is its own; it is not yet waited for, so the number cannot be another's by now.
            os.killpg(server.pid, signal.SIGKILL)
            with server, suppress(BrokenPipeError):
                server.communicate()


def wait_for(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Return what is true, as soon as it is; fail where it does not become so."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.02)
    return found


def confirmation(visitor: Visitor, verb: str, **fields: str) -> Request:
    """Fill in the operators' page and return what says yes to the question that follows."""
    asked = visitor.submit(visitor.get("/admin/read-only/"), f"read-only-{verb}-form", **fields)
    assert asked.status == 200, asked.text
    return visitor.sending(asked, "read-only-confirm")


def throw(visitor: Visitor, verb: str, **fields: str) -> Answer:
    """Throw the switch in the admin, and wait for the end of the page that tells of it."""
    return visitor.read(confirmation(visitor, verb, **fields))


def read_until(response: Any, text: str) -> str:
    """Read a page that is still being written, as far as some text."""
    told = b""
    while text.encode() not in told:
        more = response.read1()
        assert more, f"the page ended: {told.decode()[-2000:]}"
        told += more
    return told.decode()


def signed_in(address: str, name: str) -> Visitor:
    """Return somebody signed in; a process may need a second to hear that another test's window is over."""
    visitor = Visitor(address)
    wait_for(lambda: not json.loads(visitor.get("/read-only/status/").html)["read_only"])
    signed = visitor.sign_in(name)
    assert signed.status == 200, signed.text
    return visitor


# -- the database behind it

_IS_ON = f"""SELECT EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = current_database() AND s.setconfig && ARRAY{MARKED})"""


def is_read_only(made: Site) -> bool:
    """Return whether the switch is on, as PostgreSQL says."""
    row = made.superuser.execute(_IS_ON).fetchone()
    return bool(row and row[0])


def open_by_hand(made: Site) -> None:
    """End a window without a trace, however a test left it."""
    if is_read_only(made):
        role, name = sql.Identifier(made.scratch.writer), sql.Identifier(made.scratch.name)
        reset = "ALTER ROLE {} IN DATABASE {} RESET default_transaction_read_only"
        made.superuser.execute(sql.SQL(reset).format(role, name))
        end_sessions(made)
        made.superuser.execute("NOTIFY readonly_router")
    made.superuser.execute("DELETE FROM readonly_router_event")


def end_sessions(made: Site) -> None:
    """End every session of the writer."""
    query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s"
    made.superuser.execute(query, [made.scratch.writer])


@contextmanager
def transaction_at_work(made: Site) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of the writer's that holds a drain up until it ends."""
    with made.scratch.login(made.scratch.writer) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT 1")
        yield connection
