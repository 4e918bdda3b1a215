"""What the owner of a database may plant in it, each with the statement by which a careless superuser runs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from psycopg import sql

from tests.database import Scratch

EVENTS = "readonly_router_event"

# By way of these: each returns what it was given.
LURES = (
    """CREATE FUNCTION public.lure(anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE
        AS 'BEGIN PERFORM trap.sprung(); RETURN $1; END'""",
    """CREATE FUNCTION public.bite() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN PERFORM trap.sprung(); RETURN NEW; END'""",
)
_INSERT = (
    f"INSERT INTO public.{EVENTS} (at, kind, alias, roles, reason, by, os_user, host, details)"
    " VALUES (now(), 'on', 'x', '[]', 'y', 'z', 'z', 'z', '{}')"
)
_READ = f"SELECT * FROM public.{EVENTS}"
SHADOWED = "ALTER DATABASE {database} SET search_path = public, pg_catalog"


@dataclass(frozen=True, kw_only=True)
class Plant:
    """Statements of the site's own login; plants of one group stand beside each other in a database.

    `careless` springs it, if a superuser sends it in a session of its own; empty where nothing is sprung, but
    commands must not stumble.
    """

    name: str
    group: str
    sql: tuple[str, ...]
    careless: str = ""

    def plant(self, scratch: Scratch) -> None:
        """Execute the statements as the site's login."""
        names = {"database": sql.Identifier(scratch.name), "writer": sql.Identifier(scratch.writer)}
        with scratch.login(scratch.writer, options="-c search_path=public") as site:
            for statement in self.sql:
                site.execute(sql.SQL(statement).format(**names))


def _on_the_events() -> Iterator[Plant]:
    """What runs as whoever writes the table of events."""
    alter, each_row = f"ALTER TABLE {EVENTS}", f"ON {EVENTS} FOR EACH ROW EXECUTE FUNCTION bite()"
    found = {
        "row trigger": f"CREATE TRIGGER r BEFORE INSERT OR UPDATE {each_row}",
        "statement trigger": f"CREATE TRIGGER s AFTER INSERT OR UPDATE ON {EVENTS} EXECUTE FUNCTION bite()",
        "rule": f"CREATE RULE r AS ON INSERT TO {EVENTS} DO ALSO INSERT INTO note (text) VALUES (lure('x'::text))",
        "check": f"{alter} ADD CHECK (lure(kind::text) <> '')",
        "default": f"{alter} ALTER receipt SET DEFAULT lure(NULL::jsonb)",
        "index expression": f"CREATE INDEX ON {EVENTS} (lure(kind::text))",
        "index predicate": f"CREATE INDEX ON {EVENTS} (id) WHERE lure(kind::text) <> ''",
        "generated column": f"{alter} ADD made text GENERATED ALWAYS AS (lure(kind::text)) STORED",
    }
    for name, statement in found.items():
        yield Plant(name=name, group="table", sql=(statement,), careless=_INSERT)
    yield Plant(
        name="deferred trigger",
        group="table",
        sql=(
            f"CREATE CONSTRAINT TRIGGER d AFTER INSERT OR UPDATE ON {EVENTS} DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION bite()",
        ),
        careless=f"{_INSERT}; SET CONSTRAINTS ALL IMMEDIATE",
    )
    yield Plant(
        name="domain",
        group="table",
        sql=(
            "CREATE DOMAIN spoken AS text CHECK (lure(VALUE::text) IS NOT NULL)",
            f"{alter} ALTER reason TYPE spoken",
        ),
        careless=_INSERT,
    )
    yield Plant(
        name="inheriting table",
        group="table",
        sql=(
            f"CREATE TABLE heir () INHERITS ({EVENTS})",
            "CREATE TRIGGER h BEFORE UPDATE ON heir FOR EACH ROW EXECUTE FUNCTION bite()",
            "INSERT INTO heir SELECT 0, now(), 'on', 'x', '[]', 'y', NULL, 'z', 'z', 'z', NULL, '{{}}'",
        ),
        careless=f"UPDATE public.{EVENTS} SET reason = 'w'",
    )
    yield Plant(
        name="cast of a row to text",
        group="table",
        sql=(
            f"CREATE FUNCTION as_text({EVENTS}) RETURNS text LANGUAGE plpgsql"
            " AS 'BEGIN PERFORM trap.sprung(); RETURN $1.kind; END'",
            f"CREATE CAST ({EVENTS} AS text) WITH FUNCTION as_text AS IMPLICIT",
        ),
        careless=f"{_INSERT}; SELECT t::text FROM public.{EVENTS} t",
    )


def _policies() -> Iterator[Plant]:
    enabled = (
        f"ALTER TABLE {EVENTS} ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY p ON {EVENTS} USING (trap.sprung()) WITH CHECK (trap.sprung())",
    )
    # A superuser passes by every policy, so another role is sent.
    read = f"SET LOCAL ROLE pg_read_all_data; {_READ}"
    forced = (*enabled, f"ALTER TABLE {EVENTS} FORCE ROW LEVEL SECURITY")
    yield Plant(name="policy, forced", group="policy, forced", sql=forced, careless=read)
    yield Plant(name="policy, of others than the owner", group="policy", sql=enabled, careless=read)


def _in_its_place() -> Iterator[Plant]:
    moved = f"ALTER TABLE {EVENTS} RENAME TO moved"
    view = f"CREATE VIEW {EVENTS} AS SELECT * FROM moved WHERE trap.sprung()"
    yield Plant(name="view in the place of the table", group="view", sql=(moved, view), careless=_READ)
    yield Plant(
        name="partitioned table in its place",
        group="partitioned",
        sql=(
            moved,
            f"CREATE TABLE {EVENTS} (LIKE moved INCLUDING DEFAULTS) PARTITION BY LIST (lure(kind::text))",
            f"CREATE TABLE part PARTITION OF {EVENTS} DEFAULT",
        ),
        careless=_INSERT.replace("(at", "(id, at").replace("VALUES (", "VALUES (1, "),
    )
    yield Plant(
        name="view in the place of a sequence",
        group="view",
        sql=(
            "ALTER SEQUENCE note_id_seq RENAME TO moved_seq",
            "CREATE VIEW note_id_seq AS SELECT 1::bigint AS last_value, trap.sprung() AS is_called",
        ),
        careless="SELECT last_value, is_called FROM public.note_id_seq",
    )
    yield Plant(
        name="composite columns with a cast to jsonb",
        group="composite",
        sql=(
            "CREATE TYPE wrapped AS (j jsonb)",
            "CREATE FUNCTION unwrap(wrapped) RETURNS jsonb LANGUAGE plpgsql"
            " AS 'BEGIN PERFORM trap.sprung(); RETURN $1.j; END'",
            "CREATE CAST (wrapped AS jsonb) WITH FUNCTION unwrap AS IMPLICIT",
            f"ALTER TABLE {EVENTS} ALTER roles TYPE wrapped USING row(roles)::wrapped,"
            " ALTER details TYPE wrapped USING row(details)::wrapped",
            f"INSERT INTO {EVENTS} (at, kind, alias, roles, reason, by, os_user, host, details)"
            " SELECT now(), 'on', 'scratch', row(to_jsonb(ARRAY[current_user::text]))::wrapped, '', 'z', 'z', 'z',"
            " row('{{}}'::jsonb)::wrapped",
        ),
        careless=f"SELECT FROM public.{EVENTS} WHERE roles @> '[]'::jsonb",
    )


def _read_by_proof() -> Iterator[Plant]:
    yield Plant(
        name="view of the site",
        group="table",
        sql=("CREATE VIEW shown AS SELECT id FROM note WHERE trap.sprung()",),
        careless="SELECT FROM public.shown LIMIT 0",
    )
    yield Plant(
        name="function that runs as its owner",
        group="table",
        sql=(
            "CREATE FUNCTION definer() RETURNS boolean SECURITY DEFINER LANGUAGE plpgsql IMMUTABLE"
            " AS 'BEGIN RETURN trap.sprung(); END'",
            "CREATE VIEW defined AS SELECT id FROM note WHERE definer()",
        ),
        careless="SELECT FROM public.defined LIMIT 0",
    )
    yield Plant(
        name="materialized view",
        group="table",
        # PostgreSQL runs it as its owner whoever refreshes it; the probe of the proof is one who tries.
        sql=("CREATE MATERIALIZED VIEW kept AS SELECT trap.sprung()",),
    )
    yield Plant(
        name="policy of another table",
        group="policy",
        sql=(
            "ALTER TABLE note ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY p ON note USING (trap.sprung())",
        ),
        careless="SET LOCAL ROLE pg_read_all_data; SELECT FROM public.note",
    )


# What every session of a careless command asks, by the types it asks with, and what it is answered with.
FUNCTIONS = {
    "pg_backend_pid()": "integer",
    "current_setting(text)": "text",
    "set_config(text, text, boolean)": "text",
    "pg_is_in_recovery()": "boolean",
    "has_table_privilege(oid, text)": "boolean",
    "has_table_privilege(name, oid, text)": "boolean",
    "has_any_column_privilege(oid, text)": "boolean",
    "has_sequence_privilege(oid, text)": "boolean",
    "has_schema_privilege(oid, text)": "boolean",
    "current_schemas(boolean)": "name[]",
    "clock_timestamp()": "timestamptz",
    "array_to_string(text[], text)": "text",
    "quote_ident(text)": "text",
    "quote_ident(name)": "text",
    "pg_has_role(name, text)": "boolean",
    "pg_has_role(oid, text)": "boolean",
    "pg_terminate_backend(integer, bigint)": "boolean",
    "pg_try_advisory_lock(bigint)": "boolean",
    "hashtextextended(text, bigint)": "bigint",
    "jsonb_build_object(text, bigint)": "jsonb",
    "pg_current_wal_lsn()": "pg_lsn",
    "pg_current_xact_id()": "xid8",
    "pg_get_userbyid(oid)": "name",
    "pg_notify(text, text)": "void",
    "format(text, name, name)": "text",
}
OPERATORS = (
    *("= text text", "= name name", "= name text", "= oid oid", "= varchar varchar", "<> integer integer"),
    *("= boolean boolean", "@> jsonb jsonb", "|| text text", "|| jsonb jsonb", "<> name name", "!~ name text"),
)
VIEW = "CREATE VIEW public.{} AS SELECT * FROM pg_catalog.{} WHERE trap.sprung()"
VIEWS = (
    *("pg_stat_activity", "pg_roles", "pg_class", "pg_locks", "pg_database", "pg_namespace", "pg_proc"),
    *("pg_db_role_setting", "pg_auth_members", "pg_settings", "pg_default_acl", "pg_prepared_xacts"),
    *("pg_stat_all_tables", "pg_stat_database", "pg_sequence", "pg_tablespace"),
)
DOMAIN = "CREATE DOMAIN public.{} AS pg_catalog.{} CHECK (public.lure(VALUE) IS NOT NULL OR VALUE IS NULL)"
TYPES = ("text", "name", "jsonb", "oid", "regclass", "regrole", "pg_lsn")


def shadows_of_functions(functions: Mapping[str, str]) -> Iterator[str]:
    """Yield functions that answer as those of pg_catalog do, and spring the trap."""
    for signature, returns in functions.items():
        name, _, kinds = signature.rstrip(")").partition("(")
        given = ", ".join(f"${number}" for number in range(1, len(kinds.split(", ")) + 1 if kinds else 1))
        answer = "" if returns == "void" else f"pg_catalog.{name}({given})"
        yield (
            f"CREATE FUNCTION public.{name}({kinds}) RETURNS {returns} LANGUAGE plpgsql"
            f" SET search_path = pg_catalog AS $f$ BEGIN PERFORM trap.sprung(); RETURN {answer}; END $f$"
        )


_RETURNS = {"|| text text": "text", "|| jsonb jsonb": "jsonb"}


def shadows_of_operators(operators: Iterable[str], returns: Mapping[str, str]) -> Iterator[str]:
    """Yield operators that answer as those of pg_catalog do, and spring the trap."""
    for number, signature in enumerate(operators):
        operator, left, right = signature.split()
        yield (
            f"CREATE FUNCTION public.operator_{number}({left}, {right})"
            f" RETURNS {returns.get(signature, 'boolean')} LANGUAGE plpgsql SET search_path = pg_catalog"
            f" AS $f$ BEGIN PERFORM trap.sprung(); RETURN $1 OPERATOR(pg_catalog.{operator}) $2; END $f$"
        )
        yield (
            f"CREATE OPERATOR public.{operator}"
            f" (FUNCTION = public.operator_{number}, LEFTARG = {left}, RIGHTARG = {right})"
        )


def _shadows() -> Iterator[Plant]:
    yield Plant(
        name="functions before pg_catalog's",
        group="shadows",
        sql=(*shadows_of_functions(FUNCTIONS), SHADOWED),
        careless="SELECT pg_backend_pid()",
    )
    yield Plant(
        name="operators before pg_catalog's",
        group="shadows",
        sql=(*shadows_of_operators(OPERATORS, _RETURNS), SHADOWED),
        careless="SELECT FROM pg_class WHERE relname = 'x'::text",
    )
    yield Plant(
        name="views before pg_catalog's",
        group="shadows",
        sql=(
            *(
                f"CREATE VIEW public.{name} AS SELECT * FROM pg_catalog.{name} WHERE trap.sprung()"
                for name in VIEWS
            ),
            SHADOWED,
        ),
        careless="SELECT count(*) FROM pg_roles",
    )
    yield Plant(
        name="types before pg_catalog's",
        group="types",
        sql=(
            *map(DOMAIN.format, TYPES, TYPES),
            SHADOWED,
        ),
        careless="SELECT 'x'::text",
    )


def _settings() -> Iterator[Plant]:
    for name, value in {
        "DateStyle": "German, DMY",
        "client_encoding": "LATIN1",
        "standard_conforming_strings": "off",
        "quote_all_identifiers": "on",
        "bytea_output": "escape",
        "IntervalStyle": "sql_standard",
    }.items():
        yield Plant(
            name=f"{name} of the database",
            group="settings",
            sql=(f"ALTER DATABASE {{database}} SET {name} = '{value}'",),
        )

    # A superuser's session would begin as the site's role, and a plant may reset that.
    yield Plant(
        name="role of the database",
        group="role",
        sql=(
            "CREATE VIEW shown AS SELECT id FROM note WHERE trap.sprung()",
            "ALTER DATABASE {database} SET role = {writer}",
        ),
        careless="SELECT FROM public.shown",
    )


PLANTS = (*_on_the_events(), *_policies(), *_in_its_place(), *_read_by_proof(), *_shadows(), *_settings())
GROUPS = tuple(dict.fromkeys(plant.group for plant in PLANTS))


def together(plants: Iterable[Plant]) -> tuple[Plant, ...]:
    """Return plants in an order in which they can stand beside each other: a path that leads astray is last."""
    return tuple(sorted(plants, key=lambda plant: SHADOWED in plant.sql))


def sow(scratch: Scratch, plants: Iterable[Plant], dba: str) -> None:
    """Plant as the site's own login, for everybody to step on."""
    scratch.run(*LURES)
    for plant in plants:
        plant.plant(scratch)
    grant = sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA public TO {}").format(sql.Identifier(dba)).as_string(None)
    scratch.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC", grant)
