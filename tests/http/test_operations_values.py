"""What the operators' pages are made of: forms, a stream, a banner, and sites of any class."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.contrib.admin.sites import AdminSite
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import RequestFactory
from django.utils import timezone as zones
from django.utils import translation

from readonly_router import disable_writes
from readonly_router.admin.site import ReadOnlyAdminSite, adopt
from readonly_router.operations import board, streaming
from readonly_router.operations.banner import with_banner
from readonly_router.operations.forms import Off, On
from readonly_router.switch.spec import Tell
from tests.database import Scratch
from tests.example.shop.models import Tag
from tests.test_architecture import PACKAGE


def test_only_those_that_are_meant_are_switched(shop: None, scratch: Scratch) -> None:
    form = On({"databases": ["default"], "grace": "1s", "deadline": "10s"})
    assert form.is_valid()
    assert form.chosen() == ("default",)


def test_several_share_the_time_there_is(shop: None, scratch: Scratch) -> None:
    form = On({"databases": ["default", scratch.alias], "grace": "1s", "deadline": "10s"})
    assert form.is_valid()
    assert form.deadline_of_each() == 5


def test_what_the_form_offers_can_be_sent(shop: None, scratch: Scratch) -> None:
    form = On()
    offered = {name: field.initial for name, field in form.fields.items() if field.initial}
    assert On({**offered, "databases": ["default", scratch.alias]}).is_valid()


def test_the_grace_must_end_within_each_share(shop: None, scratch: Scratch) -> None:
    form = On({"databases": ["default", scratch.alias], "grace": "6s", "deadline": "10s"})
    assert "grace" in form.errors


def test_none_of_several_is_an_error(shop: None, scratch: Scratch) -> None:
    assert "databases" in Off({}).errors


@pytest.mark.parametrize(
    ("fields", "name"),
    [({"eta": "soon"}, "eta"), ({"deadline": "1h"}, "deadline"), ({"grace": "10s"}, "grace")],
)
def test_a_duration_that_cannot_be_is_an_error(shop: None, fields: dict[str, str], name: str) -> None:
    assert list(On({"grace": "1s", "deadline": "10s", **fields}).errors) == [name]


def test_the_board_knows_which_can_be_switched_and_which_opened() -> None:
    from readonly_router.switch.spec import State

    def pair(alias: str, **state: Any) -> board.Pair:
        return board.Pair(alias=alias, twin="t", state=State(alias=alias, writer="w", **state) if state else None)

    found = board.Board(
        pairs=(
            pair("open", read_only=False),
            pair("proved", read_only=True, proved=True),
            pair("unproved", read_only=True),
            pair("unknown"),
        )
    )

    assert found.writable == ("open", "unproved")
    assert found.read_only == ("proved", "unproved", "unknown")


# -- a page that is sent while the work goes on


def failing(_tell: Tell) -> Mapping[str, Any]:
    raise RuntimeError("<nobody> expected this")


def chunks(work: streaming.Work) -> list[str]:
    return list(streaming.sent(page(), work))


def page() -> streaming.Page:
    return streaming.Page(
        before="before", between="between", after="after", result="readonly_router/operations/migrated.html"
    )


def test_nothing_is_begun_before_somebody_reads_on(shop: None) -> None:
    begun: list[str] = []
    sent = streaming.sent(page(), lambda _tell: begun.append("begun") or {})  # type: ignore[func-returns-value]

    assert next(sent) == "before"
    sent.close()

    assert begun == []


def test_an_exit_is_told_as_a_failure(shop: None) -> None:
    assert "It failed." in "".join(chunks(lambda _tell: sys.exit(3)))


def test_what_nobody_expected_is_logged_and_told(shop: None, caplog: pytest.LogCaptureFixture) -> None:
    sent = "".join(chunks(failing))
    assert "RuntimeError: &lt;nobody&gt; expected this" in sent
    assert sent.endswith("after")
    assert "RuntimeError" in caplog.text


def test_a_silence_is_filled_with_signs_of_life(shop: None) -> None:
    heard = threading.Event()

    def silent(_tell: Tell) -> Mapping[str, Any]:
        assert heard.wait(20)
        return {}

    sent = streaming.sent(page(), silent, silence=0.01)
    first = [next(sent), next(sent)]
    heard.set()

    assert first == ["before", streaming.SIGN_OF_LIFE]
    assert list(sent)[-1].endswith("after")


def test_it_is_the_same_for_an_asynchronous_server(shop: None) -> None:
    async def read() -> list[str]:
        return [chunk async for chunk in streaming.sent_async(page(), lambda tell: tell("<said>") or {})]  # type: ignore[func-returns-value]

    sent = asyncio.run(read())

    assert sent[:2] == ["before", "&lt;said&gt;"]
    assert sent[-1].endswith("after")


class Where:
    """Tells, as text, whose language and time the page is drawn in."""

    def __str__(self) -> str:
        return f"{translation.get_language()} {zones.get_current_timezone_name()}"


def test_the_end_of_a_page_is_in_the_language_and_time_of_its_beginning() -> None:
    with translation.override("de"), zones.override("Asia/Tokyo"):
        begun = page()
    assert "de Asia/Tokyo" in begun.ending({"error": Where()})


# -- the banner, and sites


def answer_with_banner(response: Any) -> Any:
    request = RequestFactory().get("/admin/")
    disable_writes()
    return with_banner(ReadOnlyAdminSite(name="other"), request, response)


def test_a_page_without_a_main_part_has_its_banner_above_all(shop: None) -> None:
    answer = answer_with_banner(HttpResponse("<html><BODY class=x>page</BODY></html>"))
    assert answer.content.startswith(b'<html><BODY class=x><ul class="messagelist admin-read-only"')


def test_the_length_of_a_page_is_that_with_its_banner(shop: None) -> None:
    page = HttpResponse("<body>page</body>", headers={"Content-Length": "17"})
    assert answer_with_banner(page)["Content-Length"] == str(len(page.content)) != "17"


@pytest.mark.parametrize(
    "response",
    [
        JsonResponse({"body": "<body>"}),
        HttpResponse("<p>a piece of a page</p>"),
        HttpResponse(b"<body>packed</body>", headers={"Content-Encoding": "gzip"}),
        HttpResponse("<body>", content_type="text/plain"),
    ],
    ids=["JSON", "fragment", "packed", "text"],
)
def test_what_is_no_page_is_left_as_it_is(shop: None, response: HttpResponse) -> None:
    before = response.content
    assert answer_with_banner(response).content == before


def test_a_stream_is_left_as_it_is(shop: None) -> None:
    answer = answer_with_banner(StreamingHttpResponse(["<body>", "</body>"]))
    assert list(answer.streaming_content) == [b"<body>", b"</body>"]


def test_a_site_of_any_class_is_adopted_as_that_class() -> None:
    class Shopkeepers(AdminSite):
        site_header = "Shopkeepers"

    site = Shopkeepers(name="shopkeepers")
    site.register(Tag)
    adopt(site)
    adopt(site)

    assert isinstance(site, ReadOnlyAdminSite)
    assert isinstance(site, Shopkeepers)
    assert type(site).__qualname__ == Shopkeepers.__qualname__
    assert site.site_header == "Shopkeepers"


def test_the_admin_alone_is_not_enough() -> None:
    code = (
        "import django; from django.conf import settings\n"
        "theirs = ['django.contrib.auth', 'django.contrib.contenttypes', 'django.contrib.messages']\n"
        "settings.configure(INSTALLED_APPS=[*theirs, 'readonly_router.admin.ReadOnlyAdminConfig'])\n"
        "django.setup()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert "add 'readonly_router' to INSTALLED_APPS" in done.stderr


def test_the_admin_of_this_process_is_djangos_own_still() -> None:
    assert not isinstance(django_admin.site, ReadOnlyAdminSite)
