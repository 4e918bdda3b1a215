"""The addresses of the migrations page, which a project includes where it wants one: before those of its admin."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.sites import AdminSite
from django.urls import URLPattern, path

from . import migration_pages, places
from .urls import of_site


def patterns(site: AdminSite) -> list[URLPattern]:
    """Return the patterns for an admin site, to include as `readonly_router_migrations`."""
    return [
        path("", of_site(site, migration_pages.show), name="plan"),
        path("run/", of_site(site, migration_pages.run), name="run"),
    ]


app_name = places.MIGRATIONS
urlpatterns = patterns(admin.site)
