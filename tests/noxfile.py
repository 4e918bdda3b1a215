"""Pairs of Python, Django and PostgreSQL: each row differs from the others in all three.

A row's server is TEST_DATABASE_URL_<MAJOR>, or else one of its own from embedded or downloaded binaries.
A row whose Python or server is missing fails; --no-error-on-missing-interpreters skips it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent.parent
SKIP_MISSING = "--no-error-on-missing-interpreters"
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")

nox.options.envdir = str(ROOT / ".cache" / "nox")
nox.options.error_on_missing_interpreters = SKIP_MISSING not in sys.argv
nox.options.stop_on_first_error = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One pair to run; `lowest` takes every dependency of the package at its lower bound."""

    python: str
    django: str
    postgres: int
    lowest: bool = False

    def requirements(self) -> list[str]:
        lowest = [bound.replace(">=", "==") for bound in _bounds()] if self.lowest else []
        return [f"Django=={self.django}.*", *lowest]


ROWS = (
    Row(python="3.10", django="5.2", postgres=14, lowest=True),
    Row(python="3.12", django="6.0", postgres=16),
    Row(python="3.13", django="6.1", postgres=18),
)


def _bounds() -> list[str]:
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *extras["binary"], *extras["pool"]]


def _server(session: nox.Session, major: int) -> list[str]:
    """The words before the suite's command that give it a server of this major."""
    if os.environ.get(f"TEST_DATABASE_URL_{major}"):
        session.env["TEST_DATABASE_URL"] = os.environ[f"TEST_DATABASE_URL_{major}"]
        return []
    if major in (16, 18):
        return ["python", "-m", "tests.embedded", "run", "--major", str(major), "--"]
    return ["python", "-m", "tests.embedded", "run", "--bin", _downloaded(session, major), "--"]


def _downloaded(session: nox.Session, major: int) -> str:
    try:
        return str(session.run("python", "-m", "tests.servers", str(major), silent=True, stderr=None)).strip()
    except nox.command.CommandFailed:
        say = session.skip if SKIP_MISSING in sys.argv else session.error
        say(f"No PostgreSQL {major}; set TEST_DATABASE_URL_{major} to a superuser's URL")


def _add(row: Row) -> None:
    @nox.session(python=row.python, name=f"django{row.django}-postgres{row.postgres}")
    def suite(session: nox.Session) -> None:
        session.chdir(ROOT)
        session.install("--quiet", "--editable", ".[test]", *row.requirements())
        session.run("python", "-m", "pip", "list", "--format=freeze")
        session.run(*_server(session, row.postgres), "python", "-m", "pytest", *session.posargs)


for row in ROWS:
    _add(row)
