"""Addresses of the example shop with those of the read-only window."""

from django.urls import include, path

from tests.example.urls import urlpatterns as shop

urlpatterns = [path("read-only/", include("readonly_router.urls")), *shop]
