"""A PgBouncer in transaction pooling before the suite's server, which ends with whoever started it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg

from tests.embedded import PORT_ATTEMPTS, _account, _base, _free_port, _hand_over

POOLER_VARIABLE = "TEST_PGBOUNCER_URL"
START_SECONDS = 60
# Any database and any role of the server: the suite makes its own, so the superuser asks for passwords.
INI = """
[databases]
{databases}
* = host={host} port={port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
pool_mode = transaction
auth_type = scram-sha-256
auth_file = {folder}/userlist.txt
auth_user = {user}
auth_query = SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = $1
admin_users = {user}
"""
# Waits for the end of its standard input, which comes however the suite ends, SIGKILL included; then nothing is
# left, the folder with its passwords neither. Ctrl-C reaches the suite alone, which then tells it.
WATCHER = """
trap '' HUP INT TERM
"$1" "$2/pgbouncer.ini" </dev/null >"$2/log" 2>&1 &
read -r _
kill -KILL $!
wait $!
rm -rf "$2"
"""


class PoolerError(Exception):
    """PgBouncer is there but does not start."""


def program() -> str | None:
    """The program's path; Debian puts it where only root's PATH leads."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin")


def has_pooler() -> bool:
    return bool(os.environ.get(POOLER_VARIABLE)) or program() is not None


@contextmanager
def pooler(server: str, *, databases: str = "", logins: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run one before `server`, a superuser's URL, and give that login's URL through it.

    `databases` are further lines of the section of that name, `logins` the passwords it knows by itself: it asks
    the server for none where an entry of its own names the user.
    """
    for _ in range(PORT_ATTEMPTS):
        folder, url = _configured(server, databases, logins or {})
        watcher = _start(folder)
        try:
            if _answers(folder, url):
                yield url
                return
        finally:
            _end(watcher)
    raise PoolerError("pgbouncer found no free port")


def _configured(server: str, databases: str, logins: Mapping[str, str]) -> tuple[Path, str]:
    """Write its files for a free port; return their folder and the superuser's URL."""
    parts, account, port = urlsplit(server), _account(), _free_port()
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-", dir=_base(account)))
    (folder / "userlist.txt").touch(mode=0o600)
    known = {**logins, user: password}
    (folder / "userlist.txt").write_text("".join(f"{_quoted(who)} {_quoted(known[who])}\n" for who in known))
    (folder / "pgbouncer.ini").touch(mode=0o600)
    (folder / "pgbouncer.ini").write_text(
        INI.format(
            databases=databases,
            host=parts.hostname,
            port=parts.port or 5432,
            listen_port=port,
            folder=folder,
            user=user,
        )
    )
    if account:
        _hand_over(folder, account)
    login = parts.netloc.rpartition("@")[0]
    return folder, urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))


def folder_of(url: str) -> Path:
    """Return the folder of a running one, by what it says of itself."""
    console = urlunsplit(urlsplit(url)._replace(path="/pgbouncer"))
    with psycopg.connect(console, autocommit=True) as connection:
        settings = {row[0]: row[1] for row in connection.execute("SHOW CONFIG").fetchall()}
    return Path(settings["auth_file"]).parent


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _start(folder: Path) -> subprocess.Popen[bytes]:
    account, found = _account(), program()
    assert found is not None
    return subprocess.Popen(
        ["sh", "-c", WATCHER, "pgbouncer-watcher", found, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _answers(folder: Path, url: str) -> bool:
    """Wait until it pools; False when another process took its port."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        said = (folder / "log").read_text(errors="replace") if (folder / "log").exists() else ""
        if "Address already in use" in said:
            return False
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return True
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise PoolerError(f"pgbouncer does not answer: {error}; {said[-300:]}") from None
        time.sleep(0.05)


def _end(watcher: subprocess.Popen[bytes]) -> None:
    assert watcher.stdin is not None
    # A line, and not the end of the pipe alone: a process forked meanwhile holds the pipe open as well.
    watcher.stdin.write(b"end\n")
    watcher.stdin.close()
    watcher.wait()
