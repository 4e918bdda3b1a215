"""Addresses of the example site."""

import os

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import include, path

urlpatterns = [
    path("", include("tests.example.shop.urls")),
    path("accounts/", include("django.contrib.auth.urls")),
    path("admin/", admin.site.urls),
    # The admin keeps its looks with DEBUG off and no web server in front.
    path("static/<path:path>", serve, {"insecure": True}),
]

if os.environ.get("EXAMPLE_PROBES"):
    from tests.example import probes  # they would let everybody write

    urlpatterns += [
        path("probe/<slug:task>/", probes.probe),
        path("probe-async/<slug:task>/", probes.probe_async),
    ]
