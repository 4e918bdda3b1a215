"""A third login that may create in the site's schema, and no more, has nothing of it run by anybody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections
from psycopg import sql

from readonly_router import get_status, is_read_only, writable
from readonly_router.following import followers
from tests.database import Scratch, forget
from tests.security import commands, traps
from tests.security.conftest import Site
from tests.security.plants import EVENTS, shadows_of_functions, shadows_of_operators

# PostgreSQL looks into pg_catalog first, but an exact match further on beats one that needs a cast.
FUNCTIONS = {
    "array_to_string(text[], text)": "text",
    "array_to_string(name[], text)": "text",
    "array_position(text[], text)": "integer",
    "quote_ident(name)": "text",
    "format(text, text)": "text",
    "format(text, name, name)": "text",
    "format(text, name, text)": "text",
    "to_jsonb(text[])": "jsonb",
    "hashtextextended(text, integer)": "bigint",
    "pg_terminate_backend(integer, integer)": "boolean",
    "jsonb_build_object(text, bigint)": "jsonb",
    "split_part(text, text, integer)": "text",
    "lower(name)": "text",
    "count(text)": "bigint",
    "set_config(text, text, boolean)": "text",
}
OPERATORS = (
    *("= varchar varchar", "= varchar text", "= text varchar", "= name varchar", "<> varchar varchar"),
    *("@> jsonb jsonb", "|| text name", "|| name text", "- pg_lsn pg_lsn"),
)
RETURNS = {"|| text name": "text", "|| name text": "text", "- pg_lsn pg_lsn": "numeric"}
# What each is called by, where the path is the usual one.
CARELESS = (
    "SELECT array_to_string(ARRAY['x'::text], ',')",
    "SELECT to_jsonb(ARRAY['x'::text])",
    "SELECT hashtextextended('x', 0)",
    f"SELECT FROM public.{EVENTS} WHERE kind = 'on'",
)


def plant(site: Site, statements: Iterator[str] | tuple[str, ...]) -> None:
    """Plant as the third login, which may create in `public`, as anybody may before 15."""
    with traps.careful(site.scratch) as superuser:
        superuser.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    site.scratch.run(*statements, user=site.stranger)


def live(scratch: Scratch) -> None:
    """Do as a process of the site does that meets the switch, asks for it and writes through it."""
    forget(scratch.alias)
    forget(scratch.twin_alias)
    followers.forget()
    with connections[scratch.alias].cursor() as cursor:
        cursor.execute("TABLE pg_catalog.pg_class")
    assert is_read_only(scratch.alias)
    assert get_status(scratch.alias).read_only
    with writable(), connections[scratch.alias].cursor() as cursor:
        cursor.execute("TABLE pg_catalog.pg_class")
    connections[scratch.alias].close()
    connections[scratch.twin_alias].close()


def run_everything(site: Site, *, switched: bool = True) -> str:
    """Run every command, and the site's own process while the switch is on."""
    scratch, url = site.scratch, site.url("superuser")
    first = ("create_readonly_role",), ("read_only", "on", "--grace", "0s", "--reason", "tried")
    ran = [commands.run(scratch, words, url) for words in first]
    if switched:
        live(scratch)
    ran += commands.run_all(scratch, url)
    return commands.told(ran)


def test_functions_and_operators_that_match_exactly(planted: Site) -> None:
    plant(planted, (*shadows_of_functions(FUNCTIONS), *shadows_of_operators(OPERATORS, RETURNS)))
    printed = run_everything(planted)
    assert traps.sprung_as(planted.scratch) == set(), printed
    assert [careless for careless in CARELESS if not traps.springs(planted.scratch, careless)] == []


TABLE = (
    f"CREATE TABLE public.{EVENTS} (id bigserial, at timestamptz, kind varchar(10), alias text, roles jsonb,"
    " reason text, eta timestamptz, by text, os_user text, host text, receipt jsonb, details jsonb)",
    f"GRANT SELECT ON public.{EVENTS} TO PUBLIC",
    "CREATE FUNCTION public.bite() RETURNS trigger LANGUAGE plpgsql"
    " AS 'BEGIN PERFORM trap.sprung(); RETURN NEW; END'",
    f"CREATE TRIGGER b BEFORE INSERT OR UPDATE ON public.{EVENTS} FOR EACH ROW EXECUTE FUNCTION public.bite()",
)
POLICY = (
    f"ALTER TABLE public.{EVENTS} ENABLE ROW LEVEL SECURITY",
    f"CREATE POLICY p ON public.{EVENTS} USING (trap.sprung()) WITH CHECK (trap.sprung())",
)


@pytest.mark.parametrize("path", ["public, site", "site, public"])
@pytest.mark.parametrize("statements", [TABLE, (*TABLE, *POLICY)], ids=["trigger", "policy"])
def test_a_table_of_the_events_name_that_is_not_the_sites(
    planted: Site, path: str, statements: tuple[str, ...]
) -> None:
    scratch = planted.scratch
    with traps.careful(scratch) as superuser:
        for role in (scratch.writer, scratch.twin):
            place = sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path = {}")
            names = sql.Identifier(role), sql.Identifier(scratch.name), sql.SQL(path)
            superuser.execute(place.format(*names))
    scratch.run(f"CREATE SCHEMA site; ALTER TABLE public.{EVENTS} SET SCHEMA site")
    plant(planted, statements)
    grant = sql.SQL(f"GRANT ALL ON public.{EVENTS} TO {{}}").format(sql.Identifier(scratch.writer))
    scratch.run(grant.as_string(None), user=planted.stranger)
    is_first = path.startswith("site")
    printed = run_everything(planted, switched=is_first)
    assert traps.sprung_as(planted.scratch) == set(), printed
    refused = f'Table "public"."{EVENTS}" belongs to role \'{planted.stranger}\' and not to the site'
    assert (refused in printed) == (not is_first), printed
    untried = f"NOT TRIED, its owner is not of the site: public.{EVENTS}"
    assert (untried in printed) == (statements != TABLE), printed
    careless = f"INSERT INTO public.{EVENTS} (kind) VALUES ('on')"
    assert traps.springs(scratch, careless)
