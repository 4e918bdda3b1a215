"""The programs of the suite's own major where they are at hand, with the one that copies a primary."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.embedded import _account, _base, wheel_binaries

# A newer pg_basebackup tells the standby of its primary in words of which an older server does not know all; the
# last line counts.
COPY = """#!/bin/sh
set -eu
"$(dirname "$0")/../wheel/server/bin/pg_basebackup" "$@"
for argument; do
  case $argument in
    --pgdata=*) data=${argument#*=} ;;
    --host=*) host=${argument#*=} ;;
    --port=*) port=${argument#*=} ;;
    --username=*) user=${argument#*=} ;;
  esac
done
printf "primary_conninfo = 'host=%s port=%s user=%s password=%s'\\n" "$host" "$port" "$user" "$PGPASSWORD" \\
  >>"$data/postgresql.auto.conf"
"""


@contextmanager
def own_programs(server: str) -> Iterator[Path | None]:
    """Give the folder of the server's programs; None where they are not on this machine, or are the wheel's."""
    found = _folder(server)
    if found is None or (found / "pg_basebackup").exists():
        yield None if found is None or found.resolve() == wheel_binaries().resolve() else found
        return
    folder = Path(tempfile.mkdtemp(prefix="programs-", dir=_base(_account())))
    try:
        folder.chmod(0o755)  # the server's account is another than root's
        yield _with_copying(found, folder)
    finally:
        shutil.rmtree(folder)


def _folder(server: str) -> Path | None:
    with psycopg.connect(server, autocommit=True) as connection:
        row = connection.execute("SELECT setting FROM pg_config() WHERE name = 'BINDIR'").fetchone()
    found = Path(row[0] if row else "")
    return found if (found / "initdb").exists() and (found / "postgres").exists() else None


def _with_copying(found: Path, folder: Path) -> Path:
    """Copy the programs, with the wheel's pg_basebackup and its libraries as they lie there."""
    shutil.copytree(found.parent, folder / "own", symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    wheel = wheel_binaries()
    (folder / "own" / "wheel" / "server" / "bin").mkdir(parents=True)
    shutil.copy(wheel / "pg_basebackup", folder / "own" / "wheel" / "server" / "bin")
    package = wheel.parent.parent
    for libraries, place in (
        (wheel.parent / "lib", "wheel/server/lib"),
        (package / ".dylibs", "wheel/.dylibs"),
        (package.with_name(f"{package.name}.libs"), f"{package.name}.libs"),
    ):
        if libraries.is_dir():
            shutil.copytree(libraries, folder / "own" / place, symlinks=True, ignore=shutil.ignore_patterns("*.a"))
    copy = folder / "own" / "bin" / "pg_basebackup"
    copy.write_text(COPY)
    copy.chmod(0o755)
    return copy.parent
