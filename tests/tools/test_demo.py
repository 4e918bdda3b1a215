"""The demo: it tells its story to the end, notices when it is not as told, and leaves nothing."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.demo.cutover import balance, serve_fleet, switch_on, verify
from tests.demo.interrupts import Interrupts
from tests.demo.ledger import TAKEN
from tests.demo.rehearsal import compare, make_database, migrate, provision, refuse_writes
from tests.demo.stage import url_for
from tests.demo.story import tell
from tests.demo.tale import Step, Tale
from tests.plugin import PREFIX

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "tests.demo"]

pytestmark = pytest.mark.slow


def named_like(server: str, name: str) -> list[str]:
    """Databases and roles whose name begins so."""
    query = """SELECT datname FROM pg_database WHERE starts_with(datname, %(name)s)
        UNION ALL SELECT rolname FROM pg_roles WHERE starts_with(rolname, %(name)s)"""
    with psycopg.connect(server) as connection:
        return [found for (found,) in connection.execute(query, {"name": name}).fetchall()]


def test_the_story_is_told_to_its_end_and_leaves_nothing(server: str) -> None:
    told = subprocess.run(
        COMMAND, cwd=ROOT, env={**os.environ, "DATABASE_URL": server}, capture_output=True, text=True
    )

    assert told.returncode == 0, told.stdout + told.stderr
    assert "Left behind: nothing.\nEvery step as told" in told.stdout
    name = re.search(r"/(demo_\w+)\n", told.stdout)[1]
    assert named_like(server, name) == []
    assert urlsplit(server).password is None or f":{urlsplit(server).password}@" not in told.stdout


def let_the_twin_insert(tale: Tale) -> None:
    """One grant too many"""
    with psycopg.connect(tale.stage.admin_url) as admin:
        admin.execute(
            sql.SQL("GRANT INSERT ON ALL TABLES IN SCHEMA public TO {}").format(sql.Identifier(tale.stage.twin))
        )


def write_meanwhile(tale: Tale) -> None:
    """A write past the read-only process"""
    tale.before = "as it was"
    with tale.stage.connect() as writer:
        writer.execute("INSERT INTO shop_tag (name) VALUES ('meanwhile')")


def write_past_the_switch(tale: Tale) -> None:
    """A write that nothing binds: a superuser's"""
    with psycopg.connect(tale.stage.admin_url) as superuser:
        superuser.execute("UPDATE shop_product SET stock = stock + 1 WHERE sku = 'SHOP-001'")


def lose_an_order(tale: Tale) -> None:
    """An order that was acknowledged, and is gone"""
    acknowledged = next(tale.ledger.entries(TAKEN)).order
    with tale.stage.connect() as writer:
        writer.execute(
            "DELETE FROM shop_orderline USING shop_order o WHERE o.id = order_id AND email = %s", [acknowledged]
        )
        writer.execute("DELETE FROM shop_order WHERE email = %s", [acknowledged])


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        pytest.param(
            (make_database, migrate, provision, let_the_twin_insert, refuse_writes),
            r"not refused as told: .*SET \.\.\.read_only = off; INSERT\n\nStep 5 \(Each kind of write",
            id="the twin may insert",
        ),
        pytest.param(
            (make_database, migrate, write_meanwhile, compare),
            r"the data changed.*\n\nStep 4 \(Nothing was written\) is not as told",
            id="somebody wrote",
        ),
        pytest.param(
            (make_database, migrate, provision, serve_fleet, switch_on, write_past_the_switch, verify),
            r"read_only ended with 1: (?s:.*)table public\.shop_product: 1 rows(?s:.*)\n\nStep 7 \(Is a copy",
            id="somebody wrote after the receipt",
        ),
        pytest.param(
            (make_database, migrate, serve_fleet, lose_an_order, balance),
            r"acknowledged is not what is there\n\nStep 5 \(The ledger",
            id="an acknowledged order is gone",
        ),
    ],
)
def test_a_step_that_is_not_as_told_is_named_and_the_exit_status_says_so(
    server: str, capsys: pytest.CaptureFixture[str], steps: tuple[Step, ...], named: str
) -> None:
    with Interrupts() as interrupts:
        status = tell(server, interrupts, steps)

    told = capsys.readouterr().out
    assert status == 1
    assert re.search(named, told), told
    assert "Left behind: nothing." in told


@pytest.mark.parametrize("line", ["migrate", "DB_READ_ONLY=1", "--receipt receipt.json"])
def test_ctrl_c_leaves_no_process_database_role_or_folder(server: str, tmp_path: Path, line: str) -> None:
    env = {**os.environ, "DATABASE_URL": server, "TMPDIR": str(tmp_path)}
    demo = subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with demo:
        said = ""
        while not said.endswith(f"{line}\n"):
            said += demo.stdout.readline() or pytest.fail(said)
        demo.send_signal(signal.SIGINT)
        rest, errors = demo.communicate()

    assert (demo.returncode, errors) == (130, "\nInterrupted; what the demo made is removed.\n"), rest
    with pytest.raises(ProcessLookupError):
        os.killpg(demo.pid, 0)
    assert named_like(server, re.search(r"/(demo_\w+)\n", said)[1]) == []
    assert list(tmp_path.iterdir()) == []


def test_a_login_that_may_not_make_databases_is_refused_in_one_line(server: str) -> None:
    role, password = f"{PREFIX}_powerless", secrets.token_urlsafe(9)
    with psycopg.connect(server, autocommit=True) as superuser:
        superuser.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
        )
    try:
        url = url_for(server, "postgres", f"{role}:{password}")
        told = subprocess.run(
            COMMAND, cwd=ROOT, env={**os.environ, "DATABASE_URL": url}, capture_output=True, text=True
        )
    finally:
        with psycopg.connect(server, autocommit=True) as superuser:
            superuser.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith(f"DATABASE_URL: the login '{role}' may not create databases and roles")
    assert told.stderr.count("\n") == 1
    assert password not in told.stderr
