"""Addresses of the example site with the bench's pages beside."""

from django.urls import include, path

from tests.example.urls import urlpatterns as of_the_shop

urlpatterns = [*of_the_shop, path("bench/", include("tests.bench.pages"))]
