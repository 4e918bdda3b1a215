"""Addresses of the example site in its window, with two pages that do nothing beside."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from tests.example.window_urls import urlpatterns as of_the_window


def nothing(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()


async def nothing_async(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [path("nothing/", nothing), path("nothing-async/", nothing_async), *of_the_window]
