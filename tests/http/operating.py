"""The example site served as on a host, and people at its pages: forms are sent as a browser sends them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

import psycopg
from psycopg import sql

from tests.site import MANAGE, Site, site

ROOT = MANAGE.parent.parent.parent
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.http.operators"}
SECONDS = 60
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


@contextmanager
def operated(server: str, *migrate: str) -> Iterator[Site]:
    """Make the site with the apps of these tests, migrated as far as `migrate` says."""
    with site(server) as made:
        done = made.manage("migrate", *migrate, "--verbosity=0", "--skip-checks", **SETTINGS)
        assert done.returncode == 0, done.stderr
        # What a staff member may do who only looks, and one who throws the switch.
        code = (
            "from django.contrib.auth.models import Permission, User\n"
            "for name, codename in (('viewer', 'view_event'), ('operator', 'switch')):\n"
            "    user = User.objects.create_user(name, password=name, is_staff=True)\n"
            "    user.user_permissions.set(Permission.objects.filter(codename=codename))\n"
        )
        done = made.python(code, **SETTINGS)
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
        around = {**os.environ, **made.env, **SETTINGS, "HOME": folder, **env}
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


@dataclass(kw_only=True)
class Form:
    """A form of a page, with the values that a browser sends as it stands; `shown` are those that people see."""

    action: str
    method: str = "get"
    fields: dict[str, list[str]] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Form] = {}
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(action=given.get("action", ""), method=given.get("method", "get"))
            self.found[given.get("id", "")] = self._open
        elif self._open is not None and tag in {"input", "textarea", "select"} and given.get("name"):
            self._note(self._open, given, given.get("type", tag))

    def _note(self, form: Form, given: dict[str, str], kind: str) -> None:
        if kind != "hidden":
            form.shown.add(given["name"])
        # What is chosen in a list is left out: no test asks for it.
        if kind not in {"submit", "select"} and (kind not in {"checkbox", "radio"} or "checked" in given):
            form.fields.setdefault(given["name"], []).append(given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a browser got, in the end."""

    status: int
    url: str
    headers: Mapping[str, str]
    html: str

    @property
    def forms(self) -> dict[str, Form]:
        parser = _Forms()
        parser.feed(self.html)
        return parser.found

    @property
    def text(self) -> str:
        """What is to be read, without the tags."""
        return " ".join(
            unescape(re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", self.html, flags=re.DOTALL)).split()
        )


class Visitor:
    """Somebody with a browser that keeps cookies and runs no script."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.jar = CookieJar()
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(self.jar))

    def get(self, path: str, **headers: str) -> Answer:
        return self.read(Request(urljoin(self.address, path), headers={"Accept": "text/html", **headers}))

    def post(self, path: str, **fields: str) -> Answer:
        """Send fields by oneself, with the token a page of the site would hold."""
        values = {"csrfmiddlewaretoken": self.cookie("csrftoken"), **fields}
        return self.read(self._request(path, [*values.items()]))

    def submit(self, page: Answer, form: str, **fields: str) -> Answer:
        """Send a form of a page with some fields filled in."""
        return self.read(self.sending(page, form, **fields))

    def sending(self, page: Answer, form: str, **fields: str) -> Request:
        """Return the request that sends a form of a page."""
        found = page.forms[form]
        assert found.method == "post"
        values = {**found.fields, **{name: [value] for name, value in fields.items()}}
        pairs = [(name, value) for name, each in values.items() for value in each]
        return self._request(urljoin(page.url, found.action), pairs)

    def open(self, request: Request) -> Any:
        """Send a request and return the answer as it comes in."""
        return self._opener.open(request, timeout=SECONDS)

    def sign_in(self, name: str, path: str = "/admin/") -> Answer:
        """Sign in where a page of the admin asks for it; passwords are like names."""
        return self.submit(self.get(path), "login-form", username=name, password=name)

    def cookie(self, name: str) -> str:
        return next((cookie.value or "" for cookie in self.jar if cookie.name == name), "")

    def _request(self, path: str, pairs: list[tuple[str, str]]) -> Request:
        data = urlencode(pairs).encode()
        return Request(urljoin(self.address, path), data, headers={"Accept": "text/html"})

    def read(self, request: Request) -> Answer:
        try:
            with self.open(request) as response:
                return _answer(response)
        except HTTPError as error:
            with error:
                return _answer(error)


def _answer(response: Any) -> Answer:
    return Answer(
        status=response.status, url=response.url, headers=dict(response.headers), html=response.read().decode()
    )


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

_IS_ON = """SELECT EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = current_database() AND 'default_transaction_read_only=tRUE' = ANY (s.setconfig))"""


def is_read_only(made: Site) -> bool:
    """Tell whether the switch is on, as PostgreSQL says."""
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
