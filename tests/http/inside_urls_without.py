"""The admin site of these tests without a migrations page."""

from django.urls import path

from tests.http.inside_urls import site

urlpatterns = [path("admin/", site.urls)]
