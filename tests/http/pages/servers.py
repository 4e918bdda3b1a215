"""The pages behind real servers, in processes that have ended when their block has."""

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
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connections

from tests.site import MANAGE

ROOT = MANAGE.parent.parent.parent
SECONDS = 60
# Ends with its standard input, which comes to its end however the suite does.
WATCHER = '{ "$@" </dev/null; kill -KILL 0; } & read -r _; kill -KILL 0'
GUNICORN = (
    "-m",
    "gunicorn",
    "django.core.wsgi:get_wsgi_application()",
    "--config",
    "python:tests.http.pages.gunicorn",
)
UVICORN = """
import socket, sys, uvicorn
from django.core.asgi import get_asgi_application
config = uvicorn.Config(get_asgi_application(), log_level="warning", access_log=False, lifespan="off")
uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
"""
KINDS: dict[str, tuple[str, ...]] = {
    "gunicorn": (*GUNICORN, "--bind", "fd://{fd}"),
    "gunicorn of threads": (*GUNICORN, "--bind", "fd://{fd}", "--threads", "2"),
    "uvicorn": ("-c", UVICORN, "{fd}"),
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server sent; `broken` where it ended before its end."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    broken: bool = False

    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that listens on a port of this machine."""

    port: int
    log: Path

    @contextmanager
    def connection(self) -> Iterator[HTTPConnection]:
        made = HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            yield made
        finally:
            made.close()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Ask on a connection of its own; an iterable body is sent in chunks."""
        with self.connection() as connection:
            return ask(connection, method, path, body, **headers)


def ask(connection: HTTPConnection, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """Ask on a connection that may serve more than one request."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(
        method, path, body=body, headers=sent, encode_chunked=not isinstance(body, bytes | str | None)
    )
    response = connection.getresponse()
    found = {name.lower(): value for name, value in response.getheaders()}
    try:
        return Answer(status=response.status, headers=found, content=response.read())
    except (OSError, HTTPException) as error:
        return Answer(status=response.status, headers=found, content=getattr(error, "partial", b""), broken=True)


def _url(alias: str) -> str:
    entry = connections.settings[alias]
    user, password, name = (quote(entry[key], safe="") for key in ("USER", "PASSWORD", "NAME"))
    return f"postgres://{user}:{password}@{entry['HOST']}:{entry['PORT']}/{name}"


def _environment(settings: Mapping[str, Any] | None, env: Mapping[str, str]) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": _url("default"),
        "DATABASE_READONLY_URL": _url("readonly"),
        "DJANGO_SETTINGS_MODULE": "tests.http.pages.settings",
        "PAGES_SETTINGS": json.dumps(settings or {}),
        **env,
    }


def manage(*words: str, settings: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a management command of the same site."""
    return subprocess.run(
        [sys.executable, str(MANAGE), *words],
        env=_environment(settings, {}),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


@contextmanager
def served(kind: str, settings: Mapping[str, Any] | None = None, **env: str) -> Iterator[Server]:
    """Serve the pages over the shop of this test."""
    with tempfile.TemporaryDirectory(prefix="pages-") as folder:
        log = Path(folder) / "log"
        with socket.create_server(("127.0.0.1", 0)) as listener, log.open("w") as said:
            port = listener.getsockname()[1]
            words = [word.replace("{fd}", str(listener.fileno())) for word in KINDS[kind]]
            process = subprocess.Popen(
                ("sh", "-c", WATCHER, "pages-watcher", sys.executable, *words),
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                cwd=ROOT,
                env=_environment(settings, env),
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
        try:
            yield Server(port=port, log=log)
        finally:
            # Its group is its own, and its number cannot be another's: it is not waited for yet.
            os.killpg(process.pid, signal.SIGKILL)
            with process, suppress(BrokenPipeError):
                process.communicate()
