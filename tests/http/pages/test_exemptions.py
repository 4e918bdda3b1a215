"""Requests that are let through while read-only: by a decorator, the name of an address, or a pattern of paths."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin.sites import AdminSite
from django.contrib.auth.views import LoginView
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path
from rest_framework.decorators import action, api_view
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from readonly_router.http.exemptions import allow_in_read_only, is_exempt
from tests.example.shop.models import Category, Tag
from tests.http.pages.noted import ran

pytestmark = pytest.mark.usefixtures("read_only_pages")


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


def post(path: str, **options: Any) -> int:
    return int(Client().post(path, **options).status_code)


def put(path: str) -> int:
    return int(Client().put(path).status_code)


def apost(path: str) -> int:
    return int(async_to_sync(AsyncClient().post)(path).status_code)


DECORATED = ["search", "asearch", "deep", "partial", "whole", "part", "async-part", "by-dispatch"]


@pytest.mark.parametrize("page", DECORATED)
def test_a_decorated_view_runs(page: str) -> None:
    assert post(f"/{page}/") == 200


@pytest.mark.parametrize("page", DECORATED)
def test_a_decorated_view_runs_in_the_asynchronous_handler(page: str) -> None:
    assert apost(f"/{page}/") == 200


def test_a_decorated_class_takes_every_method() -> None:
    assert put("/whole/") == 200


@pytest.mark.parametrize("page", ["part", "async-part"])
def test_a_decorated_method_of_a_class_lets_no_other_through(page: str) -> None:
    assert (put(f"/{page}/"), ran) == (503, [])


def test_what_an_exempt_view_writes_is_refused_by_postgres() -> None:
    assert post("/search-that-writes/") == 503
    assert not Tag.objects.filter(name="door").exists()


def test_an_exempt_view_is_marked_as_of_the_mode() -> None:
    assert Client().post("/search/")["Read-Only"] == "?1"


def test_a_decorated_view_is_what_it_was() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert allow_in_read_only(view) is view


# By name and by path.


@pytest.mark.parametrize(
    ("listed", "page", "status"),
    [
        ("named", "/outer/named/1/", 200),
        ("inner:search", "/inner/named/1/", 200),
        # A part of a name is another name.
        ("search", "/inner/named/1/", 503),
        ("inner", "/inner/named/1/", 503),
        ("^/outer/", "/outer/named/1/", 200),
        ("/outer/", "/outer/named/1/", 200),
        (r"^/outer/named/\d+/$", "/outer/named/1/", 200),
        # From the start of the path.
        ("/named/", "/outer/named/1/", 503),
        ("/search/", "/outer/named/1/", 503),
        ("outer/", "/outer/named/1/", 503),
    ],
)
def test_an_address_is_listed_by_its_whole_name_or_the_start_of_its_path(
    listed: str, page: str, status: int
) -> None:
    with override_settings(READONLY_ROUTER_EXEMPT=[listed]):
        assert post(page) == status


@override_settings(READONLY_ROUTER_EXEMPT="/inner/")
def test_a_single_address_may_stand_without_a_list() -> None:
    assert (post("/inner/named/1/"), post("/outer/named/1/")) == (200, 503)


@override_settings(READONLY_ROUTER_EXEMPT=["^/(unclosed"])
def test_a_pattern_that_is_none_is_an_error_that_names_it() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"READONLY_ROUTER_EXEMPT .*unclosed"):
        post("/outer/named/1/")


# What a read-only site must always offer.


class OwnLogin(LoginView):
    """A project's own page to sign in."""


class OwnSite(AdminSite):
    """An admin site with a page to sign in of its own."""

    def login(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return super().login(request, extra_context)


@pytest.mark.parametrize(
    ("page", "status"),
    [("/accounts/login/", 200), ("/accounts/logout/", 302), ("/admin/login/", 200), ("/admin/logout/", 200)],
)
def test_signing_in_and_out_is_let_through(page: str, status: int) -> None:
    assert post(page) in {status, 302}


@pytest.mark.parametrize(
    "view",
    [OwnLogin.as_view(), OwnSite(name="own").login, AdminSite(name="plain").login],
    ids=["a view", "a site's own", "a site"],
)
def test_what_builds_on_djangos_pages_to_sign_in_is_let_through(view: Any) -> None:
    assert is_exempt(RequestFactory().post("/"), view)


def test_changing_a_password_is_not_let_through() -> None:
    assert post("/accounts/password_change/") == 503
    assert post("/accounts/password_reset/") == 503


# REST framework's views.


@allow_in_read_only
class WholeApi(APIView):
    def post(self, request: Any) -> Response:
        return Response({"names": Category.objects.count()})


class PartOfAnApi(APIView):
    @allow_in_read_only
    def post(self, request: Any) -> Response:
        return Response({})

    def delete(self, request: Any) -> Response:
        ran.append("deleted")
        return Response({})


@allow_in_read_only
@api_view(["POST"])
def function_of_an_api(request: Any) -> Response:
    return Response({})


class PartOfAViewSet(ViewSet):
    @allow_in_read_only
    def create(self, request: Any) -> Response:
        return Response({})

    def destroy(self, request: Any, pk: int) -> Response:
        ran.append("destroyed")
        return Response({})

    @allow_in_read_only
    @action(detail=False, methods=["post"])
    def search(self, request: Any) -> Response:
        return Response({})

    @action(detail=False, methods=["post"])
    def change(self, request: Any) -> Response:
        ran.append("changed")
        return Response({})


@allow_in_read_only
class WholeViewSet(ViewSet):
    def create(self, request: Any) -> Response:
        return Response({})


router = SimpleRouter()
router.register("some", PartOfAViewSet, basename="some")
router.register("all", WholeViewSet, basename="all")
urlpatterns = [
    *router.urls,
    path("whole/", WholeApi.as_view()),
    path("part/", PartOfAnApi.as_view()),
    path("function/", function_of_an_api),
    path("by-hand/", PartOfAViewSet.as_view({"post": "create", "put": "change"})),
]


@pytest.mark.parametrize(
    ("method", "page", "status"),
    [
        ("POST", "/whole/", 200),
        ("POST", "/part/", 200),
        ("DELETE", "/part/", 503),
        ("POST", "/function/", 200),
        ("POST", "/some/", 200),
        ("DELETE", "/some/1/", 503),
        ("POST", "/some/search/", 200),
        ("POST", "/some/change/", 503),
        ("POST", "/all/", 200),
        ("POST", "/by-hand/", 200),
        ("PUT", "/by-hand/", 503),
    ],
)
@override_settings(
    ROOT_URLCONF="tests.http.pages.test_exemptions",
    MIDDLEWARE=["readonly_router.middleware.ReadOnlyMiddleware"],
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None},
)
def test_views_and_viewsets_of_rest_framework(method: str, page: str, status: int) -> None:
    answer = Client().generic(method, page)

    assert (answer.status_code, ran) == (status, [])
