"""psql and pg_dump of the machine or of the embedded server, whichever is new enough for the server."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.embedded import wheel_binaries


def psql(url: str, *arguments: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run psql on a URL; the password goes by the environment, as it should."""
    return _run("psql", "-X", "-d", url, *arguments, script=script)


def pg_dump(url: str) -> subprocess.CompletedProcess[str]:
    return _run("pg_dump", "-d", url, script=None)


def _run(program: str, *arguments: str, script: str | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(tool(program)), *arguments],
        input=script,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PGCONNECT_TIMEOUT": "10"},
    )


def tool(program: str) -> Path:
    """The embedded server's program, which is of the newest major and reads every older server."""
    found = wheel_binaries() / program
    return found if found.exists() else Path(shutil.which(program) or program)
