"""What a refused page leaves in the log: once per route, the verb, the table and what to skip; nothing private."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, modify_settings, override_settings
from django.utils.deprecation import MiddlewareMixin

from readonly_router.http import skipping
from readonly_router.http.statements import read
from tests.example.shop.models import PageView
from tests.http.pages import counters
from tests.http.pages.asking import aget, consumes, get

pytestmark = pytest.mark.usefixtures("read_only_pages")
HERE = "tests.http.pages.test_refused_log"
COUNT, VIEWS = "tests.http.pages.counters.", "tests.http.pages.views."


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the logger of refusals has written."""
    return lambda: [record.getMessage() for record in caplog.records if record.name == "readonly_router.refused"]


def added(path: str) -> str:
    return f'Add to READONLY_ROUTER_SKIP: "{path}"'


ORIGINS = {
    "service/": ("INSERT shop_pageview", f"{COUNT}count, called by {COUNT}count_twice"),
    "service/a-secret-word/": ("INSERT shop_pageview", f"{COUNT}count, called by {COUNT}count_twice"),
    "template/": ("INSERT shop_tag", f"{COUNT}lazy_tag"),
    "template-response/": ("INSERT shop_tag", f"{COUNT}lazy_tag"),
    "on-commit/": ("INSERT shop_tag", "tests.http.pages.noted.write"),
    "lambda-on-commit/": ("INSERT shop_pageview", f"{COUNT}count, called by {VIEWS}in_a_lambda_on_commit"),
    "counting/": ("INSERT shop_pageview", COUNT + "count"),
    "counting-itself/": ("INSERT shop_pageview", "tests.http.pages.views.CountingItself.record"),
    "dispatching/": ("INSERT shop_pageview", "tests.http.pages.views.Dispatching.dispatch"),
    "async-view/": ("INSERT shop_tag", "tests.http.pages.views.in_an_async_view"),
    "view/": ("INSERT shop_tag", "tests.http.pages.noted.write"),
    "stream/first/": (
        "INSERT shop_tag",
        "tests.http.pages.noted.write, called by tests.http.pages.stream_views._before",
    ),
    "visits/": ("INSERT shop_pageview", "tests.example.shop.views.count_view"),
}


@pytest.mark.parametrize("path", ORIGINS)
@pytest.mark.parametrize("ask", [get, aget])
@consumes
def test_the_line_names_what_was_refused_and_where_it_came_from(
    path: str, ask: Callable[[str], Any], lines: Callable[[], list[str]]
) -> None:
    what, origin = ORIGINS[path]

    assert ask(f"/{path}").status_code == 503
    (said,) = lines()

    assert f" was refused: {what}. " in said
    assert said.partition(" It came from ")[2].startswith((f"{origin}: decide whether", f"{origin}, called by "))
    assert "Add to" not in said


@pytest.mark.parametrize("path", ["receiver/", "announced/"])
@pytest.mark.parametrize("ask", [get, aget])
def test_a_receiver_whose_answer_nobody_reads_is_advised(
    path: str, ask: Callable[[str], Any], lines: Callable[[], list[str]]
) -> None:
    assert ask(f"/{path}").status_code == 503
    (said,) = lines()

    assert " was refused: INSERT shop_pageview. " in said
    # The receiver itself, not who sends its signal: others may hear it too.
    assert said.endswith(added(COUNT + "note_reading"))


@pytest.mark.parametrize("path", ["receiver/", "announced/"])
def test_a_page_can_be_read_once_that_is_added(path: str, settings: Any) -> None:
    plain = counters.note_reading
    settings.READONLY_ROUTER_SKIP = [COUNT + "note_reading"]
    skipping.install()
    try:
        assert get(f"/{path}").status_code == 200
    finally:
        counters.note_reading = plain
        _reconnect()


def _reconnect() -> None:
    counters.page_read.receivers.clear()
    counters.page_read.connect(counters.note_reading)


def test_the_line_names_the_route_and_nothing_of_the_visitor(lines: Callable[[], list[str]]) -> None:
    get("/service/a-secret-word/?token=secret")

    assert lines()[0].startswith("GET /service/<slug:word>/ was refused:")
    assert "secret" not in lines()[0]


def test_a_route_is_logged_once(lines: Callable[[], list[str]]) -> None:
    for word in ("one", "two", "three"):
        get(f"/service/{word}/")
    get("/receiver/")
    get("/receiver/")

    assert len(lines()) == 2


def test_the_line_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    get("/view/")

    assert [record.levelno for record in caplog.records if record.name == "readonly_router.refused"] == [
        logging.WARNING
    ]


@override_settings(READONLY_ROUTER_UNSAFE_METHODS="attempt")
def test_an_attempt_that_was_refused_is_logged_too(lines: Callable[[], list[str]]) -> None:
    Client().post("/view/")

    assert lines()[0].startswith("POST /view/ was refused: INSERT shop_tag.")


def test_what_is_refused_before_its_view_runs_is_not_logged(lines: Callable[[], list[str]]) -> None:
    Client().post("/view/")

    assert lines() == []


# In another middleware.


class LastSeen(MiddlewareMixin):
    """A stamp as Django's older middlewares set it."""

    def process_request(self, request: HttpRequest) -> None:
        PageView.objects.create(path="seen")


def plain(get_response: Callable[..., Any]) -> Callable[..., Any]:
    def stamp(request: HttpRequest) -> HttpResponse:
        counters.count("seen")
        return get_response(request)

    return stamp


class Whole:
    """A middleware that writes in its own call."""

    def __init__(self, get_response: Callable[..., Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        PageView.objects.create(path="seen")
        return self.get_response(request)


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("plain", COUNT + "count"),
        ("LastSeen", f"{HERE}.LastSeen.process_request"),
        ("Whole", f"{HERE}.Whole.__call__"),
    ],
)
def test_a_middleware_is_named(name: str, origin: str, lines: Callable[[], list[str]]) -> None:
    with modify_settings(MIDDLEWARE={"append": f"{HERE}.{name}"}):
        get("/tags/")
        get("/tags/")

    (said,) = lines()
    assert f"It came from {origin}: " in said or f"It came from {origin}, called by " in said


# Statements.


@pytest.mark.parametrize(
    ("statement", "verb", "table"),
    [
        ('INSERT INTO "shop_tag" ("name") VALUES (%s)', "INSERT", "shop_tag"),
        ('UPDATE "reporting"."daily" SET "orders" = 1', "UPDATE", "reporting.daily"),
        ("update only shop_tag set name = 'FROM secret'", "UPDATE", "shop_tag"),
        ('DELETE FROM "shop tag" WHERE id = 1', "DELETE", "shop tag"),
        ('/* route=x */ -- y\n INSERT INTO "shop_tag" VALUES (1)', "INSERT", "shop_tag"),
        ("WITH gone AS (DELETE FROM shop_tag RETURNING *) SELECT * FROM gone", "DELETE", "shop_tag"),
        ('SELECT "id" FROM "shop_tag" WHERE name = %s FOR UPDATE', "SELECT", "shop_tag"),
        ("SELECT nextval('from secret')", "SELECT", ""),
        ("TRUNCATE TABLE shop_tag", "TRUNCATE", "shop_tag"),
        ("LOCK TABLE shop_tag", "LOCK", "shop_tag"),
        ("REFRESH MATERIALIZED VIEW shop_category_stock", "REFRESH", "shop_category_stock"),
        ("CREATE TABLE IF NOT EXISTS door (id int)", "CREATE", "door"),
        ("DO $$ BEGIN INSERT INTO secret VALUES (1); END $$", "DO", ""),
        ("DO $x$ BEGIN INSERT INTO secret VALUES ('$$'); END $x$", "DO", ""),
        ("MERGE INTO shop_tag USING other ON true WHEN MATCHED THEN DELETE", "MERGE", "shop_tag"),
        ("COPY shop_tag (name) FROM STDIN", "COPY", "shop_tag"),
        ('UPDATE /* route */ "note" SET "x" = 1', "UPDATE", "note"),
        ('update/**/only/* x */"a" . "b""c" set x = 1', "UPDATE", 'a.b"c'),
        ("INSERT -- INTO secret\n INTO /* b */ Shop.Tag VALUES (1)", "INSERT", "shop.tag"),
        ("/* a /* nested */ from secret */ UPDATE t SET x = 1", "UPDATE", "t"),
        ("WITH a AS (SELECT * FROM b FOR UPDATE) SELECT * FROM c", "SELECT", "c"),
        ("WITH a AS (SELECT 'DELETE FROM secret') INSERT INTO d SELECT * FROM a", "INSERT", "d"),
        ("WITH a AS MATERIALIZED (SELECT 1), b (x) AS (UPDATE ONLY t SET x = 1) SELECT 1", "UPDATE", "t"),
        ("WITH a AS (SELECT count(update) FROM b) SELECT * FROM c", "SELECT", "c"),
        ("SET LOCAL x = 1; DELETE FROM t", "DELETE", "t"),
        ("INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET x = 1", "INSERT", "t"),
        # A backslash ends no plain literal, and a literal of its own kind it does.
        (r"SELECT f('\', ' from secret')", "SELECT", ""),
        (r"SELECT f(E'\' from secret', 'x') FROM t", "SELECT", "t"),
        ("UPDATE 'secret", "UPDATE", ""),
        ("UPDATE $1 SET x = 'a'", "UPDATE", ""),
        ('SELECT EXTRACT(YEAR FROM "t"."c") FROM "t"', "SELECT", "t"),
        ("SELECT a IS DISTINCT FROM b FROM t", "SELECT", "t"),
        ('SELECT COUNT(*) FROM (SELECT DISTINCT "x"."id" FROM "x") sub', "SELECT", "x"),
        ("(SELECT 1 FROM a) UNION (SELECT 2 FROM b)", "SELECT", "a"),
        ("SELECT * INTO copied FROM t", "SELECT", "copied"),
        ("EXPLAIN ANALYZE DELETE FROM t", "EXPLAIN", "t"),
        ("EXPLAIN (ANALYZE) SELECT * FROM t", "EXPLAIN", "t"),
        ("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY t (x)", "CREATE", "t"),
        ('ALTER TABLE IF EXISTS ONLY "a"."t" ADD x int', "ALTER", "a.t"),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY a.b", "REFRESH", "a.b"),
        ("LOCK TABLE ONLY a IN SHARE MODE", "LOCK", "a"),
        ("TRUNCATE ONLY a, b", "TRUNCATE", "a"),
        ("COPY (SELECT * FROM t) TO STDOUT", "COPY", "t"),
        ("CREATE FUNCTION f() RETURNS int AS $$ SELECT 1 FROM secret $$", "CREATE", ""),
        ("UPDATE größe SET x = 1", "UPDATE", "größe"),
        ("CALL f('secret')", "CALL", ""),
        ("UPDATE a.", "UPDATE", "a"),
        ("", "", ""),
    ],
)
def test_a_statement_is_told_by_its_verb_and_table(statement: str, verb: str, table: str) -> None:
    assert read(statement) == (verb, table)


@pytest.mark.parametrize(
    "statement",
    [
        *("UPDATE t SET x = '" + "a''" * 500_000, "/*" * 500_000, "(" * 500_000, "EXPLAIN " * 100_000),
        *("SELECT * FROM (" * 100_000, "WITH x AS (SELECT " * 100_000, "E'" + "\\" * 500_000, '"' * 500_001),
    ],
    ids=lambda statement: statement[:8],
)
def test_a_long_or_deep_statement_is_told_in_no_time(statement: str) -> None:
    begun = time.monotonic()

    read(statement)

    assert time.monotonic() - begun < 2
