"""The site as its users and operators meet it: processes, and a browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

from .stage import DemoError

ROOT = Path(__file__).resolve().parent.parent.parent
MANAGE = ROOT / "tests" / "example" / "manage.py"
# What decides where the site's logins and mode come from: the demo says it anew for each process.
OURS = ("DATABASE_URL", "DATABASE_READONLY_URL", "DB_READONLY_PASSWORD", "DATABASE_ADMIN_URL", "DB_READ_ONLY")
_LISTENING = re.compile(r"(?:development server|gunicorn listens) at (http://[^/\s]+)")
_TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="[^"]*"')
_BANNER = re.compile(rb"<!--mode-->.*?<!--/mode-->", re.DOTALL)


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with the site's variables as in `env`, and only those."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    ours = {
        "DJANGO_SETTINGS_MODULE": "tests.example.settings",
        "DJANGO_RUNSERVER_HIDE_WARNING": "true",
        "PYTHONUNBUFFERED": "1",
    }
    return {**kept, **ours, **env}


@contextmanager
def process(env: Mapping[str, str], *arguments: str, log: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run Python with arguments; the process has ended when the block has."""
    with (log or Path(os.devnull)).open("a") as stderr:
        child = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr if log else subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=environment(env),
        )
    with child:
        try:
            yield child
        finally:
            child.kill()


@contextmanager
def gunicorn(env: Mapping[str, str], *, log: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the site in a gunicorn; it and its workers have ended when the block has."""
    command = ("-m", "gunicorn", "--config", "python:tests.demo.gunicorn_config", "tests.example.wsgi")
    with process({**env, "DJANGO_SETTINGS_MODULE": "tests.demo.settings"}, *command, log=log) as master:
        try:
            yield master
        finally:
            # SIGKILL, as `process` sends it, would leave the workers behind for a moment.
            master.send_signal(signal.SIGQUIT)
            with suppress(subprocess.TimeoutExpired):
                master.wait(timeout=15)


def address(served: subprocess.Popen[str], log: Path) -> str:
    """Wait until the site listens and return its address."""
    assert served.stdout is not None
    for line in served.stdout:
        if found := _LISTENING.search(line):
            return found[1]
    raise DemoError(f"The site did not start: {log.read_text()[-500:].strip()}")


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    body: bytes


class Browser:
    """A visitor who keeps cookies, also while the site's process is another."""

    def __init__(self) -> None:
        self._jar = CookieJar()
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(self._jar))

    def get(self, url: str) -> Answer:
        """Read a page; its forms' tokens, which differ each time, and the banner of the mode are left out."""
        return self._open(url, None)

    def post(self, url: str, **fields: str) -> Answer:
        """Send a form, read before for its token."""
        if not self._token():
            self.get(url)
        return self._open(url, urlencode({**fields, "csrfmiddlewaretoken": self._token()}).encode())

    def _token(self) -> str:
        return next((cookie.value or "" for cookie in self._jar if cookie.name == "csrftoken"), "")

    def _open(self, url: str, data: bytes | None) -> Answer:
        try:
            with self._opener.open(url, data, timeout=60) as response:
                return Answer(status=response.status, body=_BANNER.sub(b"", _TOKEN.sub(b"", response.read())))
        except HTTPError as error:
            with error:
                return Answer(status=error.code, body=error.read())
