"""The example site on a database of its own, used as an operator does: through processes and their environment."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests import database, example
from tests.database import Scratch
from tests.embedded import wheel_binaries

MANAGE = Path(example.__file__).parent / "manage.py"
FILL = "from tests.example.shop.content import fill; from tests.doors import furnish; fill(); furnish()"
SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Site:
    """A migrated, filled and provisioned site; `superuser` is a session in its database."""

    scratch: Scratch
    superuser: psycopg.Connection[Any]
    env: dict[str, str]

    def manage(self, *arguments: str, answers: str = "", **env: str | None) -> subprocess.CompletedProcess[str]:
        """Run manage.py in normal mode, or as the variables say; None removes one."""
        return subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", str(MANAGE), *arguments],
            env={name: value for name, value in {**os.environ, **self.env, **env}.items() if value is not None},
            input=answers,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            # Without a terminal: what asks for a password reads `answers`.
            start_new_session=True,
        )

    def python(self, code: str, **env: str | None) -> subprocess.CompletedProcess[str]:
        """Run code in a process of the site."""
        return self.manage("shell", "--verbosity=0", "--command", code, **env)

    def run(self, code: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run code in a process that has not set Django up."""
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=MANAGE.parents[2],
            env={**os.environ, **self.env, **env},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def checksum(self) -> str:
        return database.checksum(self.superuser)


@contextmanager
def site(server: str) -> Iterator[Site]:
    """Make the site from nothing and remove it afterwards."""
    with database.scratch(server) as scratch, scratch.superuser() as superuser:
        # The twin's password is its own, so that a test can look for the writer's.
        twin_password = secrets.token_urlsafe(9)
        env = {**scratch.env, "DATABASE_READONLY_URL": scratch.url(scratch.twin, twin_password)}
        admin = env.pop("DATABASE_ADMIN_URL")
        made = Site(scratch=scratch, superuser=superuser, env=env)
        for ready in (
            made.manage("migrate", "--verbosity=0"),
            made.manage("create_readonly_role", DATABASE_ADMIN_URL=admin),
            made.python(
                "from tests.example.shop.content import fill; from tests.doors import furnish; fill(); furnish()"
            ),
        ):
            assert ready.returncode == 0, ready.stderr
        yield made


def path_with_psql() -> str:
    """Return PATH, with the embedded server's psql where the machine has none."""
    path = os.environ.get("PATH", "")
    return path if shutil.which("psql") else f"{wheel_binaries()}{os.pathsep}{path}"
