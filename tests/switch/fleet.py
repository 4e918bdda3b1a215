"""Processes of the example site of every kind, started as on a host and asked to read, to write, and more."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connections

from tests.demo.site import environment
from tests.example.probes import FOLDER_VARIABLE, Told
from tests.site import MANAGE

ROOT = MANAGE.parent.parent.parent
SECONDS = 120
# Waits for the end of its standard input, which comes however the suite ends; then nothing of the group is left.
# Nor when the server ended by itself: who asked it is told.
WATCHER = '{ "$@" </dev/null; kill -KILL 0; } & read -r _; kill -KILL 0'
UVICORN = """
import socket, sys, uvicorn
config = uvicorn.Config("tests.example.asgi:application", log_level="warning", access_log=False)
uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of process: `words` follow Python's name, where {fd} is a socket that listens; `env` is its own."""

    words: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    serves: str = ""


def gunicorn(*words: str, **env: str) -> Kind:
    options = ("--config", "python:tests.switch.gunicorn_config", "--bind", "fd://{fd}", *words)
    return Kind(words=("-m", "gunicorn", "tests.example.wsgi:application", *options), env=env, serves="probe")


def uvicorn(*, views: str, **env: str) -> Kind:
    return Kind(words=("-c", UVICORN, "{fd}"), env=env, serves=views)


def command(*words: str, launcher: tuple[str, ...] = (), **env: str) -> Kind:
    return Kind(words=(*launcher, str(MANAGE), "work", *words), env=env)


@dataclass(kw_only=True)
class Member:
    """A running process, or a server with its workers."""

    process: subprocess.Popen[str]
    folder: Path

    def ask(self, task: str, name: str = "") -> list[Told]:
        """Have a task done and return the answer of each thread that did it."""
        raise NotImplementedError

    def one(self, task: str, name: str = "") -> Told:
        """Have a task done by a process of one thread."""
        (told,) = self.ask(task, name)
        return told

    def outcome(self, task: str, name: str = "") -> str:
        """Return what came of a task: done, refused or failed."""
        return str(self.one(task, name)["outcome"])

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        os.killpg(self.process.pid, number)

    def let_go(self, name: str) -> None:
        """Tell a slow task to go on."""
        (self.folder / f"{name} go").touch()

    def has_begun(self, name: str) -> bool:
        return (self.folder / f"{name} began").exists()

    def words(self) -> str:
        """Return the last of what it wrote to stderr."""
        return (self.folder / "log").read_text(errors="replace")[-3000:]


@dataclass(kw_only=True)
class Worker(Member):
    """A process that takes its tasks from standard input, one after another."""

    def ask(self, task: str, name: str = "") -> list[Told]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{task} {name}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.words()
        answers: list[Told] = json.loads(line)
        return answers


@dataclass(kw_only=True)
class Server(Member):
    """A web server; reads are asked for by GET, all else by POST."""

    port: int
    path: str

    def ask(self, task: str, name: str = "") -> list[Told]:
        method = "GET" if task in {"read", "status", "heard"} else "POST"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request(method, f"/{self.path}/{task}/?name={quote(name)}")
            response = connection.getresponse()
            content = response.read()
        except (OSError, HTTPException) as error:
            return [{"outcome": "failed", "error": f"{error!r}; {self.words()}"}]
        finally:
            connection.close()
        if response.status != 200:
            return [{"outcome": "failed", "error": f"{response.status} {content[:300]!r}; {self.words()}"}]
        return [json.loads(content)]


def site_env() -> dict[str, str]:
    """Return what a process needs to be of the same site as this one."""
    return {
        "DATABASE_URL": _url(connections.settings["default"]),
        "DATABASE_READONLY_URL": _url(connections.settings["readonly"]),
    }


def _url(entry: Mapping[str, Any]) -> str:
    user, password, name = (quote(entry[key], safe="") for key in ("USER", "PASSWORD", "NAME"))
    return f"postgres://{user}:{password}@{entry['HOST']}:{entry['PORT']}/{name}"


@contextmanager
def running(kind: Kind, env: Mapping[str, str]) -> Iterator[Member]:
    """Start a process of the site; it has ended, with all of its children, when the block has."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as name:
        folder = Path(name)
        around = environment({**env, **kind.env, FOLDER_VARIABLE: name})
        process, port = _serve(kind, around, folder) if kind.serves else (_work(kind, around, folder), 0)
        try:
            if kind.serves:
                yield Server(process=process, folder=folder, port=port, path=kind.serves)
            else:
                yield Worker(process=process, folder=folder)
        finally:
            _end(process)


def _serve(kind: Kind, env: Mapping[str, str], folder: Path) -> tuple[subprocess.Popen[str], int]:
    """Start a server on a socket that listens already: who asks too early waits."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        words = [word.replace("{fd}", str(listener.fileno())) for word in kind.words]
        server = ("sh", "-c", WATCHER, "server-watcher", sys.executable, *words)
        return _spawn(server, env, folder, descriptors=(listener.fileno(),)), listener.getsockname()[1]


def _work(kind: Kind, env: Mapping[str, str], folder: Path) -> subprocess.Popen[str]:
    return _spawn((sys.executable, *kind.words), env, folder)


def _spawn(
    words: tuple[str, ...], env: Mapping[str, str], folder: Path, descriptors: tuple[int, ...] = ()
) -> subprocess.Popen[str]:
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if not descriptors else log,
            stderr=log,
            text=True,
            cwd=ROOT,
            env=dict(env),
            pass_fds=descriptors,
            start_new_session=True,
        )


def _end(process: subprocess.Popen[str]) -> None:
    # Its group is its own; it is not yet waited for, so the number cannot be another's by now.
    os.killpg(process.pid, signal.SIGKILL)
    with process, suppress(BrokenPipeError):
        process.communicate()
