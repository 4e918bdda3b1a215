"""Pairs whose logins lead elsewhere than to the suite's server, and the example's command run on them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from django.db import connections

from tests.database import forget

MANAGE = Path(__file__).resolve().parent.parent / "example" / "manage.py"
# What is waited for is nearly always there at once; a machine may be ten times slower than that.
SECONDS = 120


def lead(alias: str, server: str) -> None:
    """Make an alias lead to another server or through a pooler; its name, database and password stay."""
    parts = urlsplit(server)
    forget(alias)
    connections.settings[alias].update(HOST=parts.hostname, PORT=parts.port)


def by_way_of(url: str, server: str) -> str:
    """Return a login's URL with the place of another server."""
    login = urlsplit(url).netloc.rpartition("@")[0]
    place = urlsplit(server).netloc.rpartition("@")[2]
    return urlunsplit(urlsplit(url)._replace(netloc=f"{login}@{place}"))


def create_readonly_role(environ: dict[str, str], *arguments: str) -> tuple[int, list[str]]:
    """Run the command in a process of its own; return its exit status and the lines of its stderr."""
    result = subprocess.run(
        [sys.executable, str(MANAGE), "create_readonly_role", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        timeout=120,
    )
    return result.returncode, result.stderr.splitlines()


def wait_for(condition: Callable[[], bool], *, seconds: float = SECONDS, pause: float = 0.02) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(pause)
