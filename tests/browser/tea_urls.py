"""Addresses of the Wagtail site with those of the window and its files, as no web server is in front."""

from django.conf import settings
from django.contrib.staticfiles.views import serve as static
from django.urls import include, path
from django.views.static import serve

from tests.wagtail.urls import urlpatterns as site

urlpatterns = [
    path("read-only/", include("readonly_router.urls")),
    path("static/<path:path>", static, {"insecure": True}),
    path("media/<path:path>", serve, {"document_root": settings.MEDIA_ROOT}),
    *site,
]
