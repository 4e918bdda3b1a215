"""A request that the switch met in its middle may have saved a part: nobody is told that nothing was."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from readonly_router import switch_off, switch_on, writable
from readonly_router.following import followers
from readonly_router.http import refused
from tests.example.shop.models import Tag
from tests.http.pages.usual import BROWSER

HALVES = ("first half", "second half")
begun, let_go = Event(), Event()


@csrf_exempt
def two_writes(_request: HttpRequest) -> HttpResponse:
    Tag.objects.create(name=HALVES[0])
    begun.set()
    assert let_go.wait(30)
    Tag.objects.create(name=HALVES[1])
    return HttpResponse("saved")


urlpatterns = [path("two/", two_writes)]


@pytest.fixture
def halves(pages: None) -> Iterator[None]:
    begun.clear()
    let_go.clear()
    refused.forget()
    with override_settings(ROOT_URLCONF=__name__):
        yield
        let_go.set()
        with writable():
            Tag.objects.filter(name__in=HALVES).delete()
        connections.close_all()
        switch_off("default", grace=0)
        followers.forget()
    refused.forget()


def send(**headers: str) -> Any:
    try:
        return Client(raise_request_exception=False, headers={**BROWSER, **headers}).post("/two/")
    finally:
        connections.close_all()


def saved() -> list[str]:
    with writable():
        return list(Tag.objects.filter(name__in=HALVES).values_list("name", flat=True))


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "fragment"])
def test_who_was_refused_in_the_middle_is_told_to_look(halves: None, headers: dict[str, str]) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(send, **headers)
        assert begun.wait(30)
        switch_on("default", grace=0)
        let_go.set()
        text = answer.result().content.decode()
    assert (answer.result().status_code, saved()) == (503, ["first half"])
    assert ("may have been saved in part" in text, "was not saved" in text) == (True, False)


def test_who_was_refused_from_the_start_is_told_that_nothing_was_saved(halves: None) -> None:
    switch_on("default", grace=0)
    text = send().content.decode()
    assert (saved(), "was not saved" in text, "in part" in text) == ([], True, False)
