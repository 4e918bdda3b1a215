"""Pages that meet a refusal wherever a request can, over the example shop."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from django.views.generic import TemplateView

from readonly_router import ReadOnlyError
from readonly_router.http.exemptions import allow_in_read_only
from tests.example.shop.models import PageView, Product, Tag
from tests.example.urls import urlpatterns as example

from . import counters
from . import session_views as sessions
from . import stream_views as streams
from .noted import ran, write


def in_the_view(request: HttpRequest) -> HttpResponse:
    write()
    return HttpResponse("written")


def making_a_table(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {connection.ops.quote_name(request.GET['name'])} ()")
    return HttpResponse("made")


async def in_an_async_view(request: HttpRequest) -> HttpResponse:
    await Tag.objects.acreate(name="door")
    return HttpResponse("written")


def in_a_template(request: HttpRequest) -> HttpResponse:
    return HttpResponse(engines["django"].from_string("{{ tag }}").render({"tag": counters.lazy_tag}, request))


def in_a_template_response(request: HttpRequest) -> TemplateResponse:
    return TemplateResponse(request, engines["django"].from_string("{{ tag }}"), {"tag": counters.lazy_tag})


def on_commit(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        transaction.on_commit(write)
    return HttpResponse("written")


def in_a_service(request: HttpRequest, word: str = "") -> HttpResponse:
    counters.count_twice(request.path)
    return HttpResponse("counted")


def in_a_receiver(request: HttpRequest) -> HttpResponse:
    counters.page_read.send(sender=None, path=request.path)
    return HttpResponse("noted")


def announced(request: HttpRequest) -> HttpResponse:
    counters.announce(request.path)
    return HttpResponse("announced")


def in_a_lambda_on_commit(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        transaction.on_commit(lambda: counters.count("later"))
    return HttpResponse("counted")


def caught(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        try:
            write()
        except ReadOnlyError:
            return HttpResponse(f"{Tag.objects.count()} tags", status=202)
    return HttpResponse("written")


def made_another(request: HttpRequest) -> HttpResponse:
    try:
        write()
    except DatabaseError:
        raise LookupError("a bug of the application's own") from None
    return HttpResponse("written")


def made_another_of_it(request: HttpRequest) -> HttpResponse:
    try:
        write()
    except DatabaseError as error:
        raise LookupError("what the application makes of it") from error
    return HttpResponse("written")


def broken(request: HttpRequest) -> HttpResponse:
    raise LookupError("a bug with a secret in it")


def broken_query(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")
    return HttpResponse("impossible")


# -- unsafe methods


def echo(request: HttpRequest) -> JsonResponse:
    """Say what reached the view."""
    seen = {
        "body": request.body.decode(errors="replace"),
        "rest": request.read().decode(errors="replace"),
        "method": request.method,
        "meta": request.META["REQUEST_METHOD"],
        "type": request.headers.get("Content-Type", ""),
        "length": request.headers.get("Content-Length", ""),
        "post": request.POST.dict(),
        "files": sorted(request.FILES),
        "query": request.GET.dict(),
        "user": request.user.get_username(),
        "cookies": sorted(request.COOKIES),
        "authorization": request.headers.get("Authorization", ""),
    }
    ran.append(seen)
    return JsonResponse(seen)


async def aecho(request: HttpRequest) -> JsonResponse:
    return await sync_to_async(echo)(request)


def upload(request: HttpRequest) -> HttpResponse:
    # As views do that take files by a handler of their own.
    request.upload_handlers = list(request.upload_handlers)
    return HttpResponse(str(len(request.FILES)))


@allow_in_read_only
def search(request: HttpRequest) -> JsonResponse:
    ran.append("search")
    is_json = request.content_type == "application/json"
    text = json.loads(request.body)["q"] if is_json else request.POST.get("q", "")
    return JsonResponse({"found": Product.objects.filter(name__icontains=text).count(), "method": request.method})


@allow_in_read_only
def search_that_writes(request: HttpRequest) -> HttpResponse:
    write()
    return HttpResponse("written")


@allow_in_read_only
async def asearch(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"found": await Product.objects.acount(), "method": request.method})


def decorated(view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def around(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return view(request, *args, **kwargs)

    return around


@decorated
@allow_in_read_only
@decorated
def deep(request: HttpRequest) -> HttpResponse:
    return HttpResponse("deep")


@allow_in_read_only
class Whole(View):
    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("whole")

    def put(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("whole")


class Part(View):
    @allow_in_read_only
    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("part")

    def put(self, request: HttpRequest) -> HttpResponse:
        ran.append("put")
        return HttpResponse("part")


class AsyncPart(View):
    @allow_in_read_only
    async def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(await Product.objects.acount()))

    async def put(self, request: HttpRequest) -> HttpResponse:
        ran.append("put")
        return HttpResponse("part")


@method_decorator(allow_in_read_only, name="dispatch")
class ByDispatch(View):
    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("dispatch")


class Counting(TemplateView):
    """A class-based page that counts below a method that Django itself calls."""

    template_name = "shop/visits.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        counters.count(self.request.path)
        return super().get_context_data(view=PageView(path="/", hits=0))


class CountingItself(TemplateView):
    template_name = "shop/visits.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.record()
        return HttpResponse("counted")

    def record(self) -> None:
        PageView.objects.create(path="/class/")


class Dispatching(TemplateView):
    """One that writes where Django itself calls it."""

    template_name = "shop/visits.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        PageView.objects.create(path="/dispatch/")
        return super().dispatch(request, *args, **kwargs)


def hidden(view: Any) -> Any:
    # As some packages decorate: nothing tells what stands behind.
    def decorated(request: HttpRequest, *args: Any) -> Any:
        return view(request, *args)

    return decorated


def named(request: HttpRequest, number: int) -> HttpResponse:
    ran.append("named")
    return HttpResponse(str(number))


open_pages = ([path("named/<int:number>/", named, name="search")], "inner")

urlpatterns = [
    *example,
    path("view/", in_the_view),
    path("making-a-table/", making_a_table),
    path("async-view/", in_an_async_view),
    path("template/", in_a_template),
    path("template-response/", in_a_template_response),
    path("on-commit/", on_commit),
    path("service/<slug:word>/", in_a_service),
    path("service/", decorated(in_a_service)),
    path("receiver/", in_a_receiver),
    path("announced/", announced),
    path("lambda-on-commit/", in_a_lambda_on_commit),
    path("counting/", Counting.as_view()),
    path("counting-itself/", CountingItself.as_view()),
    path("dispatching/", hidden(Dispatching.as_view())),
    path("caught/", caught),
    path("made-another/", made_another),
    path("made-another-of-it/", made_another_of_it),
    path("broken/", broken),
    path("broken-query/", broken_query),
    path("stream/<slug:when>/", streams.stream),
    path("astream/<slug:when>/", streams.astream),
    path("nothing/", streams.nothing),
    path("rows/", streams.rows),
    path("file/", streams.file),
    path("touch/", sessions.touch_session),
    path("session/", sessions.show_session),
    path("asession/", sessions.ashow_session),
    path("fill/", sessions.fill_session),
    path("link-in/", sessions.link_in),
    path("fill-open/", allow_in_read_only(csrf_exempt(sessions.fill_session))),
    path("say/", sessions.say),
    path("hear/", sessions.hear),
    path("leave/", sessions.leave),
    path("aleave/", sessions.aleave),
    path("new-key/", sessions.new_key),
    path("expiring/", sessions.expiring),
    path("token/", sessions.token),
    path("echo/", csrf_exempt(echo)),
    path("aecho/", csrf_exempt(aecho)),
    path("upload/", upload),
    path("only-post/", require_POST(echo)),
    path("search/", csrf_exempt(search), name="search"),
    path("search-that-writes/", search_that_writes),
    path("asearch/", asearch),
    path("deep/", deep),
    path("partial/", partial(search)),
    path("whole/", Whole.as_view()),
    path("part/", Part.as_view()),
    path("async-part/", AsyncPart.as_view()),
    path("by-dispatch/", ByDispatch.as_view()),
    path("inner/", include(open_pages, namespace="inner")),
    path("outer/named/<int:number>/", named, name="named"),
]
