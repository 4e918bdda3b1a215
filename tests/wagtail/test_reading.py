"""Every page reads as before the switch, but for a list of those that write while they are read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, TracebackType
from typing import Any

import pytest
from django.test import Client
from django.utils.module_loading import import_string

from readonly_router import ReadOnlyError, disable_writes
from tests.wagtail.conftest import Answers, Normally
from tests.wagtail.pages import ADMIN, PUBLIC


@dataclass(frozen=True, kw_only=True)
class WriteOnGet:
    """A page that writes while it is read, who writes, and why."""

    writer: str
    reason: str
    host: str = "localhost"
    user: str = "admin"


WRITES_ON_GET = {
    "/admin/pages/{post}/edit/": WriteOnGet(
        writer="wagtail.admin.models.EditingSession.cleanup",
        reason="Opening an editor ends the editing sessions of others that were left open, and begins one.",
    ),
    "/admin/snippets/home/author/edit/{author}/": WriteOnGet(
        writer="wagtail.admin.models.EditingSession.cleanup",
        reason="A snippet's editor keeps editing sessions as a page's does.",
    ),
    "/admin/pages/{post}/revisions/{revision}/revert/": WriteOnGet(
        writer="wagtail.admin.models.EditingSession.cleanup",
        reason="Looking at an old revision to go back to it opens an editor.",
    ),
    "/admin/pages/{unseen}/edit/": WriteOnGet(
        writer="wagtail.admin.views.pages.edit.EditView.dispatch",
        reason="The first time somebody opens a page's editor, a PageSubscription to its comments is made.",
    ),
    "/unseen/": WriteOnGet(
        writer="wagtail.images.models.AbstractImage.create_rendition",
        reason="The first reader of an image in a size nobody saw before makes that rendition.",
    ),
    "/images/{unserved}/{image}/width-201/": WriteOnGet(
        writer="wagtail.images.models.AbstractImage.create_rendition",
        reason="The dynamic image view makes a rendition the first time it is asked for.",
    ),
    "/admin/images/{fresh}/": WriteOnGet(
        writer="wagtail.images.models.AbstractImage.get_file_size",
        reason="An image made by code has no size on record; the first look at its editor writes it down.",
    ),
    "/video/": WriteOnGet(
        writer="wagtail.embeds.embeds.get_embed",
        reason="The first reader of an embedded video stores what its portal said, and so does the first after "
        "`cache_until`.",
    ),
    "/search/?query=tea&count=": WriteOnGet(
        writer="wagtail.contrib.search_promotions.models.Query.add_hit",
        reason="A search view that counts its queries for search promotions, as Wagtail's documentation has it.",
    ),
    "/": WriteOnGet(
        writer="wagtail.contrib.settings.models.BaseSiteSetting.for_site",
        reason="Reading a site's settings for the first time creates their row.",
        host="second.example",
    ),
    "/admin/account/": WriteOnGet(
        writer="wagtail.users.models.UserProfile.get_for_user",
        reason="The first visit of a user to their account creates their profile.",
        user="newcomer",
    ),
    "/tea-2/": WriteOnGet(
        writer="wagtail.users.models.UserProfile.get_for_user",
        reason="The user bar on the site's own pages creates the profile of an editor who never had one.",
        user="newcomer",
    ),
}


@pytest.fixture(scope="session")
def as_before(answers: Answers) -> dict[str, Any]:
    """What each address answered in normal mode, once its first reader had been there."""
    paths = [*PUBLIC, *ADMIN]
    for path in ("/admin/pages/{post}/edit/", *paths):
        answers(path)
    return {path: answers(path) for path in paths}


@pytest.mark.parametrize("path", [*PUBLIC, *ADMIN])
def test_a_page_reads_as_before(
    path: str, as_before: dict[str, Any], answers: Answers, read_only_mode: None
) -> None:
    assert answers(path) == as_before[path]


def test_the_pages_were_pages_before(as_before: dict[str, Any]) -> None:
    unusual = {path: answer[0] for path, answer in as_before.items() if answer[0] != 200}

    assert unusual == {
        "/old/": 301,
        "/nowhere/": 404,
        "/draft/": 404,
        "/api/v2/pages/find/?html_path=/tea-1/": 302,
        "/admin/login/": 302,
        "/admin/settings/home/branding/": 302,
        "/admin/workflows/tasks/select_type/": 302,
    }


def test_reading_everything_writes_nothing(
    as_before: dict[str, Any], answers: Answers, checksum: Callable[[], str], read_only_mode: None
) -> None:
    before = checksum()

    for path in as_before:
        answers(path)

    assert checksum() == before


@pytest.mark.parametrize(("path", "write"), WRITES_ON_GET.items())
def test_a_get_that_writes_is_refused_where_the_list_says(
    path: str,
    write: WriteOnGet,
    as_before: dict[str, Any],
    site: dict[str, Any],
    visit: Callable[[str], Client],
    normally: Normally,
    checksum: Callable[[], str],
) -> None:
    client, address = visit(write.user), path.format(**site)
    assert normally(lambda: status(client, address, write.host)) == (200, True)
    before = checksum()

    disable_writes()
    with pytest.raises(ReadOnlyError) as refused:
        status(client, address, write.host)

    assert code_of(write.writer) in frames(refused.tb)
    assert checksum() == before


def status(client: Client, address: str, host: str) -> int:
    response = client.get(address, HTTP_HOST=host)
    response.getvalue()  # to its end, which closes the file it may be
    return response.status_code


def code_of(path: str) -> CodeType:
    """Return the code of a function named by its dotted path, decorated or not."""
    module, _, name = path.rpartition(".")
    try:
        found = import_string(path)
    except ImportError:
        found = getattr(import_string(module), name)
    return inspect.unwrap(getattr(found, "__func__", found)).__code__


def frames(traceback: TracebackType | None) -> Iterator[CodeType]:
    while traceback is not None:
        yield traceback.tb_frame.f_code
        traceback = traceback.tb_next
