"""What an owner or a DBA set for how clients are talked to breaks no command."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import sql

from tests.database import Scratch
from tests.roles.provisioning import command
from tests.switch.switching import default_of, read_only, state

ODD = {
    "DateStyle": ("datestyle", "German"),
    "DateStyle of another order": ("datestyle", "SQL, DMY"),
    "client_encoding": ("client_encoding", "LATIN1"),
    "IntervalStyle": ("intervalstyle", "sql_standard"),
    "bytea_output": ("bytea_output", "escape"),
    "standard_conforming_strings": ("standard_conforming_strings", "off"),
    "TimeZone": ("timezone", "<+03>-3"),
    "default_transaction_isolation": ("default_transaction_isolation", "serializable"),
    "client_min_messages": ("client_min_messages", "debug5"),
}
PLACES = ("DATABASE {name}", "ROLE {admin}", "ROLE {writer}")


@pytest.mark.parametrize("place", PLACES, ids=[place.partition(" ")[2].strip("{}") for place in PLACES])
@pytest.mark.parametrize(("setting", "value"), ODD.values(), ids=ODD)
def test_a_setting_of_a_role_or_the_database_breaks_no_command(
    pair: Scratch, tmp_path: Path, setting: str, value: str, place: str
) -> None:
    admin = pair.role("admin", "SUPERUSER LOGIN")
    names = {"name": pair.name, "admin": admin, "writer": pair.writer, "twin": pair.twin}
    quoted = {key: sql.Identifier(name) for key, name in names.items()}
    path, reason = sql.SQL(", ").join(map(sql.Literal, value.split(", "))), "Umzug nach Köln 数据"
    with pair.superuser() as superuser:
        superuser.execute(sql.SQL(f"ALTER {place} SET {setting} = {{value}}").format(value=path, **quoted))
    url, file = pair.url(admin), tmp_path / "receipt.json"
    ways = ((), ("--admin-url", url))
    status, out, err = command(pair, url=url)
    # What the twin's sessions do otherwise than the writer's is told, and is no failure to run.
    assert (status == 0 or "  DIFFERS: " in out, "write probes refused" in out) == (True, True), err
    for way in ways:
        arguments = ("on", "--reason", reason, "--eta", "1h", "--receipt", str(file), *way)
        for each in (arguments, ("status", *way), ("verify", *way), ("verify", str(file), *way), ("history",)):
            outcome = read_only(pair, *each)
            # Other databases move the ids meanwhile, and 14 may count what was written before `on` later.
            answered = each[0] == "verify" and "receipt sha256" in outcome.out
            assert outcome.status == 0 or answered, (each, outcome)
        assert (state(pair).reason, state(pair).proved, default_of(pair)) == (reason, True, "on")
        assert read_only(pair, "off", *way).status == 0
        assert default_of(pair) == "off"
