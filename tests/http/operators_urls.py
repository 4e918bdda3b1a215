"""Addresses of the example shop with a migrations page and a second admin site, made where addresses are read."""

from django.contrib import admin
from django.urls import include, path

from tests.example.window_urls import urlpatterns as window
from tests.http.warehouse.admin import ShelfAdmin
from tests.http.warehouse.models import Shelf


class Counter(admin.AdminSite):
    """An admin site as projects write a second one."""

    site_header = "Counter"

    def get_app_list(self, request, app_label=None):  # type: ignore[no-untyped-def]  # as they are written
        return super().get_app_list(request, app_label)


counter = Counter(name="counter")
counter.register(Shelf, ShelfAdmin)

urlpatterns = [
    path("admin/migrations/", include("readonly_router.operations.migrations_urls")),
    path("counter/", counter.urls),
    *window,
]
