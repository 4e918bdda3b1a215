"""What a refused page leaves in the log: once per route, the verb, the table and what to skip; nothing private."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, modify_settings, override_settings
from django.utils.deprecation import MiddlewareMixin

from readonly_router.http import skipping
from readonly_router.http.blame import read
from tests.example.shop.models import PageView
from tests.http.pages import counters
from tests.http.pages.asking import aget, consumes, get

pytestmark = pytest.mark.usefixtures("read_only_pages")
HERE = "tests.http.pages.test_refused_log"
COUNT = "tests.http.pages.counters."


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the logger of refusals has written."""
    return lambda: [record.getMessage() for record in caplog.records if record.name == "readonly_router.refused"]


def added(path: str) -> str:
    return f'Add to READONLY_ROUTER_SKIP: "{path}"'


ORIGINS = {
    "service/": ("INSERT shop_pageview", COUNT + "count_twice"),
    "service/a-secret-word/": ("INSERT shop_pageview", COUNT + "count_twice"),
    "receiver/": ("INSERT shop_pageview", COUNT + "note_reading"),
    # The receiver itself, not who sends its signal: others may hear it too.
    "announced/": ("INSERT shop_pageview", COUNT + "note_reading"),
    "template/": ("INSERT shop_tag", COUNT + "lazy_tag"),
    "template-response/": ("INSERT shop_tag", COUNT + "lazy_tag"),
    "on-commit/": ("INSERT shop_tag", "tests.http.pages.noted.write"),
    "lambda-on-commit/": ("INSERT shop_pageview", COUNT + "count"),
    "counting/": ("INSERT shop_pageview", COUNT + "count"),
    "counting-itself/": ("INSERT shop_pageview", "tests.http.pages.views.CountingItself.record"),
    "view/": ("INSERT shop_tag", "tests.http.pages.noted.write"),
    "stream/first/": ("INSERT shop_tag", "tests.http.pages.noted.write"),
    "visits/": ("INSERT shop_pageview", "tests.example.shop.views.count_view"),
}


@pytest.mark.parametrize("path", ORIGINS)
@pytest.mark.parametrize("ask", [get, aget])
@consumes
def test_the_line_names_what_was_refused_and_what_to_add(
    path: str, ask: Callable[[str], Any], lines: Callable[[], list[str]]
) -> None:
    what, origin = ORIGINS[path]

    assert ask(f"/{path}").status_code == 503
    (said,) = lines()

    assert f" was refused: {what}. " in said
    assert said.endswith(added(origin))
    assert skipping.wrong(origin) == ""


def test_what_must_answer_is_never_named_to_be_skipped(lines: Callable[[], list[str]]) -> None:
    assert get("/dispatching/").status_code == 503
    (said,) = lines()

    assert "tests.http.pages.views.Dispatching.dispatch wrote itself: move the write" in said


@pytest.mark.parametrize(
    "path", [path for path in ORIGINS if not path.startswith(("stream", "view", "on-commit"))]
)
def test_a_page_can_be_read_once_that_is_added(path: str) -> None:
    _, origin = ORIGINS[path]
    owner, name, found = skipping.locate(origin)
    skipping.install([origin])
    try:
        assert get(f"/{path}").status_code == 200
    finally:
        setattr(owner, name, found)
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


def test_an_asynchronous_view_that_writes_itself_is_named(lines: Callable[[], list[str]]) -> None:
    aget("/async-view/")

    (said,) = lines()
    assert said.startswith("GET /async-view/ was refused: INSERT shop_tag. Record ")
    assert said.endswith(
        "tests.http.pages.views.in_an_async_view wrote itself: "
        "move the write into a function of its own, and add that to READONLY_ROUTER_SKIP."
    )


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
    ("name", "says"),
    [
        ("plain", added(COUNT + "count")),
        ("LastSeen", added(f"{HERE}.LastSeen.process_request")),
        (
            "Whole",
            f"{HERE}.Whole.__call__ wrote itself: move the write into a function of its own, and add that to",
        ),
    ],
)
def test_a_middleware_is_named(name: str, says: str, lines: Callable[[], list[str]]) -> None:
    with modify_settings(MIDDLEWARE={"append": f"{HERE}.{name}"}):
        get("/tags/")
        get("/tags/")

    (said,) = lines()
    assert says in said


def test_a_page_behind_a_skipped_middleware_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LastSeen, "process_request", LastSeen.process_request)
    skipping.install([f"{HERE}.LastSeen.process_request"])

    with modify_settings(MIDDLEWARE={"append": f"{HERE}.LastSeen"}):
        assert get("/tags/").status_code == 200


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
        ("", "", ""),
    ],
)
def test_a_statement_is_told_by_its_verb_and_table(statement: str, verb: str, table: str) -> None:
    assert read(statement) == (verb, table)
