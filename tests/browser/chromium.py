"""Chromium as these tests start it: whichever there is, in folders that go with it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

VARIABLE = "CHROMIUM"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "No Chromium is to be found: apt-get install chromium, or "
    f"`.cache/venv/browser/bin/playwright install --with-deps chromium`, or set {VARIABLE} to the program."
)


class NoChromiumError(Exception):
    """There is no browser to test with."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        with _temporary_files_in(folder):
            starting = sync_playwright().start()
        try:
            browser = starting.chromium.launch(
                executable_path=_program(starting.chromium.executable_path),
                # Chromium refuses to sandbox what root runs.
                chromium_sandbox=os.geteuid() != 0,
                env={**os.environ, "HOME": folder, "TMPDIR": folder},
            )
            try:
                yield browser
            finally:
                browser.close()
        finally:
            starting.stop()


def _program(own: str) -> str:
    """Return the path of the program: the one that was named, the machine's, or Playwright's own."""
    named = os.environ.get(VARIABLE)
    found = [shutil.which(name) for name in ([named] if named else PROGRAMS)]
    if not named and Path(own).exists():
        found.append(own)
    program = next(filter(None, found), None)
    if program is None:
        raise NoChromiumError(MISSING)
    return program


@contextmanager
def _temporary_files_in(folder: str) -> Iterator[None]:
    """Have a process that is started meanwhile put its temporary files into a folder."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
