"""Addresses with APIs of three frameworks over the example shop, for their tests."""

from __future__ import annotations

from typing import Any

import strawberry
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from strawberry.django.views import GraphQLView

from readonly_router.contrib.rest_framework import ReadOnlyPermission
from readonly_router.http.exemptions import allow_in_read_only
from tests.example.shop.models import Category
from tests.example.urls import urlpatterns as example


class CategorySerializer(serializers.ModelSerializer):
    class Meta:
        model = Category
        fields = ("id", "name")


class Categories(viewsets.ModelViewSet):
    """A viewset as projects write them, whose search is a POST that reads."""

    queryset = Category.objects.order_by("pk")
    serializer_class = CategorySerializer
    permission_classes = (ReadOnlyPermission,)

    @action(detail=False, methods=["post"])
    @allow_in_read_only
    def search(self, request: Any) -> Response:
        return Response([category.name for category in self.get_queryset()])

    @action(detail=False, methods=["get"])
    def touch(self, request: Any) -> Response:
        Category.objects.update(name="touched")
        return Response({})


ninja = NinjaAPI(urls_namespace="ninja")


@ninja.post("/categories")
def add_category(request: Any) -> dict[str, int]:
    return {"id": Category.objects.create(name="by ninja").pk}


@strawberry.type
class Query:
    @strawberry.field
    def categories(self) -> list[str]:
        return [category.name for category in Category.objects.order_by("pk")]


@strawberry.type
class Mutation:
    @strawberry.mutation
    def rename(self, name: str) -> int:
        return Category.objects.update(name=name)


schema = strawberry.Schema(query=Query, mutation=Mutation)
router = SimpleRouter()
router.register("categories", Categories)

urlpatterns = [
    *example,
    path("read-only/", include("readonly_router.urls")),
    path("rest/", include(router.urls)),
    path("ninja/", ninja.urls),
    path("graphql/", csrf_exempt(GraphQLView.as_view(schema=schema))),
    path("graphql/open/", allow_in_read_only(csrf_exempt(GraphQLView.as_view(schema=schema)))),
]
