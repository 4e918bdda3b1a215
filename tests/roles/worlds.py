"""Databases made from the fixture, in which attempts are made, remade when one of them left something behind."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from readonly_router.roles.provision import Report
from tests import database
from tests.database import Scratch
from tests.plugin import PREFIX
from tests.roles.fingerprint import FILE, Fingerprint, fingerprint, prepare
from tests.roles.provisioning import provisioned

FIXTURE = Path(__file__).with_name("fixture.sql")
_SECTION = re.compile(r"^-- as (\w+)(?: with (\w+))?$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Cast:
    """The roles of the corpus, and the words that statements of the corpus leave open."""

    pair: Scratch
    group: str
    words: dict[str, str]
    extensions: frozenset[str]
    major: int
    role: tuple[Any, ...]
    settings: tuple[str, ...]

    def fill(self, text: str, name: str) -> str:
        """Fill in the {words} of a statement; SQL has too many braces and dollars of its own for a template."""
        for word, value in {**self.words, "database": name}.items():
            text = text.replace(f"{{{word}}}", value)
        return text


@dataclass
class World:
    """One database with the twin provisioned in it; `clean` is what it holds before an attempt."""

    cast: Cast
    template: str
    harden: bool = False
    names: list[str] = field(default_factory=list)
    pair: Scratch = field(init=False)
    admin: psycopg.Connection[Any] = field(init=False)
    clean: Fingerprint = field(init=False)

    def __post_init__(self) -> None:
        self._create()

    def _create(self) -> None:
        self.pair = replace(self.cast.pair, name=f"{PREFIX}_{secrets.token_hex(4)}")
        self.names.append(self.pair.name)
        with psycopg.connect(self.pair.server, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                    *map(sql.Identifier, (self.pair.name, self.pair.writer, self.template))
                )
            )
        self.admin = self.pair.superuser()
        prepare(self.admin)
        for (server,) in self.admin.execute(
            "SELECT srvname FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = srvfdw"
            " WHERE fdwname = 'postgres_fdw'"
        ).fetchall():
            self.superuser(f"ALTER SERVER {server} OPTIONS (SET dbname '{{database}}')")
        if self.harden:
            self.provision()
        self.superuser(_KEEP)
        self.clean = fingerprint(self.admin)

    def provision(self) -> Report:
        """Run the package's provisioning, as hard as this world is."""
        with database._in_settings(self.pair):
            return provisioned(self.pair, harden=self.harden)

    def superuser(self, *texts: str) -> None:
        for text in texts:
            self.admin.execute(self.fill(text).encode())

    def fill(self, text: str) -> str:
        return self.cast.fill(text, self.pair.name)

    def fingerprint(self) -> Fingerprint:
        return fingerprint(self.admin)

    def repair(self, found: Fingerprint | None = None, prepared: Iterable[str] = ()) -> None:
        """Undo whatever an attempt, or what the superuser prepared for it, left behind; or else remake it all."""
        if found == self.clean:
            return
        self._tidy()
        self.superuser(*filter(None, map(_taken_back, prepared)), _DISOWN)
        self.superuser(_REFILL)
        if self.fingerprint() != self.clean:
            self.admin.close()
            self._create()

    def _tidy(self) -> None:
        """Remove what is not inside the database, and so would outlive it."""
        for gid in self.ask("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"):
            self.admin.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
        self.ask(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            f" WHERE starts_with(slot_name, '{PREFIX}')"
        )
        if self.ask(f"SELECT (pg_stat_file('{FILE}', true)).size IS NOT NULL") == [True]:
            self.admin.execute(f"COPY (SELECT) TO PROGRAM 'cat > /dev/null; rm {FILE}'".encode())
        self.superuser("ALTER DATABASE {database} RESET ALL", "ALTER ROLE {twin} IN DATABASE {database} RESET ALL")
        restore(self.cast, self.admin)

    def ask(self, query: str) -> list[Any]:
        return [row[0] for row in self.admin.execute(query.encode()).fetchall()]

    def drop(self) -> None:
        """Remove every database there was: all at once, because each DROP DATABASE waits for a checkpoint."""
        self._tidy()
        self.admin.close()
        with psycopg.connect(self.pair.server, autocommit=True) as connection:
            for name in self.names:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _taken_back(text: str) -> str:
    """Return the REVOKE of a GRANT on an object, empty for any other statement."""
    privileges, _, role = text.rpartition(" TO ")
    return f"REVOKE{privileges[5:]} FROM {role}" if text.startswith("GRANT") and " ON " in privileges else ""


# All of the following is much quicker than a new database; where it is not enough, the fingerprint tells.
_DISOWN = """DO $$DECLARE r record; BEGIN
    FOR r IN SELECT i.type, i.identity, d.objid
        FROM pg_shdepend d, pg_identify_object(d.classid, d.objid, d.objsubid) i
        WHERE d.deptype = 'o' AND d.refobjid = '{twin}'::regrole AND i.type NOT IN ('default acl', 'index')
          AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) LOOP
        IF r.type = 'large object' THEN PERFORM lo_unlink(r.objid);
        -- What went with another has no name any more.
        ELSIF r.identity <> '' THEN EXECUTE format('DROP %s IF EXISTS %s CASCADE', r.type, r.identity);
        END IF; END LOOP; END$$"""
# Foreign keys and triggers are for the site's own sessions. What was dropped or added is found by the fingerprint.
_TABLES = """SELECT c.oid, c.oid::regclass AS name, 'kept_' || c.oid AS kept FROM pg_class c
    WHERE c.relkind = '{kind}' AND c.relnamespace::regnamespace::text IN ('public', 'reports')"""
_KEEP = f"""DO $$DECLARE r record; BEGIN
    FOR r IN {_TABLES.replace("{kind}", "r")} LOOP
        EXECUTE format('CREATE TEMP TABLE %I AS TABLE ONLY %s', r.kept, r.name); END LOOP;
    FOR r IN {_TABLES.replace("{kind}", "S")} LOOP
        EXECUTE format('CREATE TEMP TABLE %I AS SELECT last_value, is_called FROM %s', r.kept, r.name); END LOOP;
    END$$"""
_REFILL = f"""DO $$DECLARE r record; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR r IN {_TABLES.replace("{kind}", "r")} AND to_regclass('pg_temp.kept_' || c.oid) IS NOT NULL LOOP
        EXECUTE format('DELETE FROM ONLY %s', r.name);
        EXECUTE format('INSERT INTO %s OVERRIDING SYSTEM VALUE TABLE pg_temp.%I', r.name, r.kept); END LOOP;
    FOR r IN {_TABLES.replace("{kind}", "S")} AND to_regclass('pg_temp.kept_' || c.oid) IS NOT NULL LOOP
        EXECUTE format('SELECT setval(%L, last_value, is_called) FROM pg_temp.%I', r.name, r.kept); END LOOP;
    END$$"""

_ATTRIBUTES = "SELECT rolinherit, rolpassword FROM pg_authid WHERE rolname = %s"
_SETTINGS = "SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setrole = %s::regrole AND setdatabase = 0"
_MEMBERS = """SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members
    WHERE %s::regrole IN (roleid, member)"""


def restore(cast: Cast, connection: psycopg.Connection[Any]) -> None:
    """Make the twin's role again what provisioning made of it."""
    twin = cast.pair.twin
    # A membership granted by a member goes with the one that allowed it.
    while row := connection.execute(_MEMBERS, [twin]).fetchone():
        connection.execute(f"REVOKE {row[0]} FROM {row[1]} CASCADE".encode())
    inherit = "INHERIT" if cast.role[0] else "NOINHERIT"
    connection.execute(f"ALTER ROLE {twin} {inherit} NOREPLICATION PASSWORD '{cast.role[1]}'".encode())
    connection.execute(f"ALTER ROLE {twin} RESET ALL".encode())
    for setting in cast.settings:
        name, _, value = setting.partition("=")
        connection.execute(f"ALTER ROLE {twin} SET {name} TO '{value}'".encode())


@contextmanager
def cast(server: str) -> Iterator[tuple[Cast, str]]:
    """Make the roles and the template database, provisioned; remove them afterwards."""
    unique = f"{PREFIX}_{secrets.token_hex(3)}"
    pair = Scratch(
        server=server,
        name=f"{unique}_t",
        writer=f"{unique}_w",
        twin=f"{unique}_r",
        password=secrets.token_urlsafe(9),
    )
    others = {name: f"{unique}_{name}" for name in ("other", "group", "peer")}
    with psycopg.connect(server, autocommit=True) as connection:
        for role in (pair.writer, others["other"], others["peer"]):
            connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{pair.password}'".encode())
        connection.execute(f"CREATE ROLE {others['group']} NOLOGIN".encode())
        connection.execute(f"CREATE DATABASE {pair.name} OWNER {pair.writer}".encode())
    try:
        yield _staged(pair, others), pair.name
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {pair.name} WITH (FORCE)".encode())
            for role in (pair.writer, pair.twin, *others.values()):
                connection.execute(f"DROP ROLE IF EXISTS {role}".encode())


def _staged(pair: Scratch, others: dict[str, str]) -> Cast:
    with pair.superuser() as superuser:
        host, port, name = superuser.execute(
            "SELECT coalesce(host(inet_server_addr()), '127.0.0.1'), current_setting('port'), current_user"
        ).fetchone() or ("", "", "")
        available = superuser.execute("SELECT name FROM pg_available_extensions").fetchall()
        made = Cast(
            pair=pair,
            group=others["group"],
            words={
                **others,
                "writer": pair.writer,
                "twin": pair.twin,
                "password": pair.password,
                "superuser": name,
                "host": host,
                "port": port,
                "run": PREFIX,
                "file": FILE,
            },
            extensions=frozenset(row[0] for row in available),
            major=superuser.info.server_version // 10000,
            role=(),
            settings=(),
        )
        with pair.login(pair.writer) as writer:
            _fill(made, {"superuser": superuser, "writer": writer})
        with database._in_settings(pair):
            provisioned(pair)
        return replace(
            made,
            role=superuser.execute(_ATTRIBUTES, [pair.twin]).fetchone() or (),
            settings=tuple(row[0] for row in superuser.execute(_SETTINGS, [pair.twin])),
        )


def _fill(made: Cast, sessions: dict[str, psycopg.Connection[Any]]) -> None:
    """Execute the sections of the fixture that this server can hold, each as its role."""
    _, *parts = _SECTION.split(FIXTURE.read_text())
    for who, extension, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        if extension is None or extension in made.extensions:
            sessions[who].execute(made.fill(text, made.pair.name).encode())


def wait_until_gone(superuser: psycopg.Connection[Any], pids: list[int]) -> None:
    """Wait until sessions have ended, and with them whatever was temporary."""
    deadline = time.monotonic() + 10
    while superuser.execute("SELECT FROM pg_stat_activity WHERE pid = ANY (%s)", [pids]).fetchone():
        assert time.monotonic() < deadline, "a session does not end"
        time.sleep(0.001)
