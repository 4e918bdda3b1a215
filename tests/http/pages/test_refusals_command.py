"""`manage.py read_only refusals`: what to add to the settings, of this process or from a log."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from readonly_router.http import refused
from readonly_router.http.records import Refused, from_log, line
from tests.http.pages.asking import aget, get

pytestmark = pytest.mark.usefixtures("read_only_pages")
COUNT = "tests.http.pages.counters."


def refusals(*arguments: str) -> str:
    out = io.StringIO()
    call_command("read_only", "refusals", *arguments, stdout=out)
    return out.getvalue()


def setting(text: str) -> Any:
    found: dict[str, Any] = {}
    exec(text, found)  # as settings.py would
    return found["READONLY_ROUTER_SKIP"]


def test_the_command_lists_what_this_process_refused() -> None:
    get("/service/")
    get("/receiver/")
    aget("/async-view/")

    said = refusals()

    assert setting(said) == [COUNT + "note_reading"]
    assert "# GET /receiver/: INSERT shop_pageview" in said
    assert f"INSERT shop_pageview. It came from {COUNT}count, called by {COUNT}count_twice: decide" in said
    assert "INSERT shop_tag. It came from tests.http.pages.views.in_an_async_view: decide" in said


def test_the_command_lists_nothing_where_nothing_was_refused() -> None:
    assert setting(refusals()) == []


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """A log file as a site writes it, with other lines, and one in JSON."""
    path = tmp_path / "site.log"
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(levelname)s %(asctime)s [%(name)s] %(message)s"))
    logger = logging.getLogger("readonly_router.refused")
    logger.addHandler(handler)
    yield path
    logger.removeHandler(handler)
    handler.close()


def test_the_command_reads_a_log_file(log: Path) -> None:
    for path in ("/service/one/", "/receiver/", "/counting/", "/stream/first/"):
        get(path)
        refused.forget()
        get(path)
    aget("/async-view/")
    inside = refusals()
    said = refusals("--log", str(log))

    assert setting(said) == [COUNT + "note_reading"]
    assert f"# GET /service/<slug:word>/ was refused: INSERT shop_pageview. It came from {COUNT}count, " in said
    assert inside.count("async-view") == said.count("async-view") == 1


def test_a_log_of_json_is_understood() -> None:
    found = Refused(method="GET", route="/a b/<int:x>/", verb="UPDATE", table="reporting.daily", path="shop.f")

    assert list(from_log([json.dumps({"message": line(found)})])) == [found]


@pytest.mark.parametrize(
    "found",
    [
        Refused(method="GET", route="/x/", verb="UPDATE", table="t", path="shop.views.f"),
        Refused(method="PATCH", route="?", verb="SELECT", path="shop.f"),
        Refused(method="GET", route=r"/^old/(?P<year>\d+)\. $", origin="shop.views.g"),
        Refused(method="GET", route="/x/", verb="DELETE", table="t", origin="shop.f, called by shop.g"),
        Refused(method="GET", route="/x/"),
    ],
)
def test_a_line_is_read_as_it_was_written(found: Refused) -> None:
    assert list(from_log(["other", f"WARNING 2025-03-03 {line(found)}\n", line(found)])) == [found]


def test_a_log_comes_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Refused(method="GET", route="/x/", verb="UPDATE", table="t", path="shop.views.f")
    monkeypatch.setattr("sys.stdin", io.StringIO(line(found)))

    assert setting(refusals("--log", "-")) == ["shop.views.f"]


def test_a_log_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        refusals("--log", str(tmp_path / "absent.log"))
