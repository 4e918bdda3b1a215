"""The proof depends on nothing that it audits, and the admin evaluates nothing of the site's."""

from __future__ import annotations

import re

import pytest
from django.core.checks import run_checks
from psycopg import sql

from tests.database import entry
from tests.security import commands, traps
from tests.security.conftest import Site
from tests.security.plants import LURES, SHADOWED

FORGERIES = {
    "has_table_privilege(oid, text)": "false",
    "has_table_privilege(name, oid, text)": "false",
    "has_any_column_privilege(oid, text)": "false",
    "has_sequence_privilege(oid, text)": "false",
    "has_schema_privilege(oid, text)": "false",
    "has_database_privilege(oid, text)": "false",
    "pg_has_role(oid, text)": "false",
    "pg_has_role(name, text)": "false",
    "current_setting(text)": "'on'",
    "pg_is_in_recovery()": "true",
    "format(text, name, name)": "'nothing'",
    "string_agg(text, text)": "''",
}


def forge(site: Site) -> None:
    """Have the site's own functions say that nobody may write, before pg_catalog's."""
    for signature, answer in FORGERIES.items():
        returns = {"'": "text"}.get(answer[0], "boolean")
        site.scratch.run(
            f"CREATE FUNCTION public.{signature} RETURNS {returns} LANGUAGE sql IMMUTABLE AS $$ SELECT {answer} $$"
        )
    database = sql.Identifier(site.scratch.name).as_string(None)
    site.scratch.run(SHADOWED.format(database=database))


@pytest.mark.parametrize("who", ["PUBLIC", "twin"])
@pytest.mark.parametrize("words", [("create_readonly_role",), ("create_readonly_role", "--check")])
def test_a_twin_with_insert_is_found_whatever_functions_the_site_put_before_the_servers(
    planted: Site, who: str, words: tuple[str, ...]
) -> None:
    grantee = "PUBLIC" if who == "PUBLIC" else sql.Identifier(planted.scratch.twin).as_string(None)
    if words[1:]:
        assert commands.run(planted.scratch, words[:1], planted.url("superuser")).status == 0
    planted.scratch.run(f"GRANT INSERT ON note TO {grantee}")
    forge(planted)
    ran = commands.run(planted.scratch, words, planted.url("superuser"))
    if who == "twin" and not words[1:]:
        # It is taken back before the proof.
        assert (ran.status, "revoke INSERT" in ran.printed) == (0, True), ran.printed
        return
    assert ran.status == 1, ran.printed
    assert re.search(r"writes possible: [1-9]", ran.printed), ran.printed
    assert "INSERT on public.note" in ran.printed


def test_check_finds_a_twin_with_insert_past_the_same_functions(planted: Site) -> None:
    commands.run(planted.scratch, ("create_readonly_role",), planted.url("superuser"))
    planted.scratch.run("GRANT INSERT ON note TO PUBLIC")
    forge(planted)
    found = run_checks(tags=["database"], databases=[planted.scratch.twin_alias])
    assert ["INSERT on public.note" in each.msg for each in found if each.id == "readonly_router.W021"] == [True]


VIEW = "CREATE VIEW shown AS SELECT id FROM note WHERE trap.sprung()"


def test_views_are_read_as_the_twin_and_as_nobody_else(planted: Site) -> None:
    scratch = planted.scratch
    scratch.run(*LURES, VIEW)
    # The twin's alias leads to another role: by mistake, or by a pooler's forced user.
    with traps.careful(scratch) as admin:
        other = sql.Identifier(planted.stranger)
        admin.execute(sql.SQL("GRANT {} TO {}").format(other, sql.Identifier(scratch.twin)))
        admin.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(other))
    with entry(scratch.twin_alias, OPTIONS={"options": f"-c role={planted.stranger}"}):
        found = run_checks(tags=["database"], databases=[scratch.twin_alias])
    assert f"acting as '{planted.stranger}'" in " ".join(each.msg for each in found)
    assert traps.sprung_as(scratch) == set()
    assert traps.springs(scratch, "SELECT FROM public.shown")


# What a careless hardening or dropping would evaluate: a function's arguments, defaults, a view's columns.
TOUCHED = (
    *LURES,
    VIEW,
    "CREATE FUNCTION powerful(x text DEFAULT lure('x'::text)) RETURNS text SECURITY DEFINER LANGUAGE sql"
    " AS 'SELECT x'",
    "CREATE DOMAIN spoken AS text DEFAULT lure('x'::text) CHECK (lure(VALUE::text) IS NOT NULL)",
    "CREATE TABLE open_to_all (word spoken DEFAULT lure('y'::text), made text"
    " GENERATED ALWAYS AS (lure('z'::text)) STORED, CHECK (trap.sprung()))",
    "CREATE INDEX ON open_to_all (lure(word::text)) WHERE trap.sprung()",
    "ALTER TABLE open_to_all ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY p ON open_to_all USING (trap.sprung())",
    "CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one",
    "CREATE RULE kept_away AS ON UPDATE TO shown DO INSTEAD SELECT trap.sprung()",
    "GRANT ALL ON open_to_all, shown TO PUBLIC",
    "CREATE SEQUENCE counted; GRANT ALL ON SEQUENCE counted TO PUBLIC",
    "SELECT lo_from_bytea(0, 'x')",
)


@pytest.mark.parametrize("admin", ["superuser", "dba"])
@pytest.mark.parametrize(
    "words", [("--harden",), ("--drop", "--force"), ("--sql", "--harden"), ("--rotate-password",)], ids=" ".join
)
def test_granting_hardening_and_dropping_are_of_the_catalogs_alone(
    planted: Site, words: tuple[str, ...], admin: str
) -> None:
    planted.scratch.run(*TOUCHED)
    commands.run(planted.scratch, ("create_readonly_role",), planted.url(admin))
    ran = commands.run(planted.scratch, ("create_readonly_role", *words), planted.url(admin))
    assert traps.sprung_as(planted.scratch).isdisjoint(planted.admins), ran.printed
    assert not traps.is_superuser(planted.scratch, planted.scratch.writer)


def test_the_script_for_a_dba_runs_nothing_of_the_sites(planted: Site) -> None:
    planted.scratch.run(*TOUCHED)
    printed = commands.run(
        planted.scratch, ("create_readonly_role", "--sql", "--harden"), planted.url("superuser")
    ).printed
    statements = [
        line for line in printed.splitlines() if line.endswith(";") and not line.startswith(("--", "\\"))
    ]
    assert any("REVOKE" in line for line in statements)
    with planted.scratch.superuser() as dba:
        for statement in statements:
            dba.execute(statement.encode())
    assert planted.superuser not in traps.sprung_as(planted.scratch)
