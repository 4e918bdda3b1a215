"""Django's own cache of pages: it keeps none of the window, unless every visitor is anonymous there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import AsyncClient, override_settings
from django.urls import path
from django.views.decorators.cache import cache_page

from readonly_router import disable_writes, enable_writes
from tests.http.pages.engines import browser
from tests.http.pages.usual import MIDDLEWARE

_made = count()
PAGE = "{% load read_only %}{% read_only_banner %}{{ number }}"


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(engines["django"].from_string(PAGE).render({"number": next(_made)}, request))


def drawn_later(request: HttpRequest) -> TemplateResponse:
    return TemplateResponse(request, engines["django"].from_string(PAGE), {"number": next(_made)})


async def asynchronous(request: HttpRequest) -> HttpResponse:
    return page(request)


urlpatterns = [
    path("page/", page),
    path("drawn-later/", drawn_later),
    path("asynchronous/", asynchronous),
    path("cached/", cache_page(60)(page)),
    path("cached-drawn-later/", cache_page(60)(drawn_later)),
]
BY_THE_SITE = ["/page/", "/drawn-later/", "/asynchronous/"]
BY_THE_VIEW = ["/cached/", "/cached-drawn-later/"]

FIRST, *REST = MIDDLEWARE
CACHING = [
    FIRST,
    "django.middleware.cache.UpdateCacheMiddleware",
    *REST,
    "django.middleware.cache.FetchFromCacheMiddleware",
]


@pytest.fixture(autouse=True)
def pages(shop: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """These pages, behind the per-site cache where their views have none of their own."""
    address = request.node.callspec.params["address"]
    cache.clear()
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=CACHING if address in BY_THE_SITE else MIDDLEWARE):
        yield
    cache.clear()


def get(address: str) -> Any:
    return browser().get(address)


def aget(address: str) -> Any:
    return async_to_sync(AsyncClient().get)(address)


every_page = pytest.mark.parametrize("address", [*BY_THE_SITE, *BY_THE_VIEW])
either_handler = pytest.mark.parametrize("ask", [get, aget])


@every_page
@either_handler
def test_a_page_of_the_window_is_gone_after_it(
    address: str, ask: Callable[[str], Any], switching: Callable[..., Any]
) -> None:
    with switching(reason="moving house"):
        shown = ask(address)
        assert b"moving house" in shown.content
    after = ask(address)

    assert b"moving house" not in after.content
    assert "Read-Only" not in after


@every_page
def test_a_page_of_the_window_is_made_for_each_visitor(address: str) -> None:
    disable_writes()

    assert get(address).content != get(address).content


@every_page
@either_handler
def test_a_page_of_normal_mode_is_kept(address: str, ask: Callable[[str], Any]) -> None:
    disable_writes()
    ask(address)
    enable_writes()

    assert ask(address).content == ask(address).content


@every_page
def test_a_page_of_before_is_still_served_from_the_cache(address: str) -> None:
    before = get(address)
    disable_writes()
    shown = get(address)

    assert (shown.content, shown["Read-Only"]) == (before.content, "?1")


@every_page
@either_handler
@override_settings(READONLY_ROUTER_VISITORS="anonymous")
def test_a_page_that_is_the_same_for_everybody_is_kept(address: str, ask: Callable[[str], Any]) -> None:
    disable_writes()

    assert ask(address).content == ask(address).content


@every_page
@override_settings(READONLY_ROUTER_VISITORS="anonymous", READONLY_ROUTER_EXEMPT=["^/"])
def test_a_page_that_knows_its_visitors_is_not_kept_among_anonymous_ones(address: str) -> None:
    disable_writes()

    assert get(address).content != get(address).content
