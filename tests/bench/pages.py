"""Pages of the bench: a request with a query, one that writes, and one that takes its time for that."""

import os
import time
from collections.abc import Callable

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

# What an answer says of itself: the process that gave it.
PROCESS = "X-Process"
TAKEN, REFUSED = 201, 503


def signed(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Sign every answer with the process that gave it; a middleware."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers[PROCESS] = str(os.getpid())
        return response

    return answer


def row(request: HttpRequest, key: int) -> HttpResponse:
    from tests.example.shop.models import PageView

    return HttpResponse(PageView.objects.get(pk=key).path)


@csrf_exempt
def write(request: HttpRequest) -> HttpResponse:
    return _answer(request.GET["name"])


@csrf_exempt
def slow(request: HttpRequest) -> HttpResponse:
    return _answer(request.GET["name"], seconds=float(request.GET["seconds"]))


def _answer(name: str, *, seconds: float = 0.0) -> HttpResponse:
    from readonly_router import ReadOnlyError

    status = TAKEN
    try:
        _write(name, seconds)
    except ReadOnlyError:
        status = REFUSED
    return HttpResponse(status=status)


@transaction.atomic
def _write(name: str, seconds: float) -> None:
    from tests.example.shop.models import PageView

    PageView.objects.create(path=f"{name}, first")
    time.sleep(seconds)
    PageView.objects.create(path=f"{name}, last")


urlpatterns = [path("<int:key>/", row), path("write/", write), path("slow/", slow)]
