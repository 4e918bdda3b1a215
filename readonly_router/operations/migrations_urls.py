"""The addresses of the migrations page, which a project includes where it wants one: before those of its admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import path, reverse_lazy

from . import migration_pages, places
from .urls import let_through


def _of(page: Any) -> Any:
    view: Any = admin.site.admin_view(let_through(page))
    # Read by Django's LoginRequiredMiddleware.
    view.login_url = reverse_lazy("admin:login", current_app=admin.site.name)
    return view


app_name = places.MIGRATIONS
urlpatterns = [
    path("", _of(migration_pages.show), name="plan"),
    path("run/", _of(migration_pages.run), name="run"),
]
