"""An admin site of the package's own, and the migrations page, for tests within their process."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from readonly_router.admin.site import ReadOnlyAdminSite, adopt
from readonly_router.http.exemptions import allow_in_read_only
from readonly_router.models import Event
from readonly_router.operations import migrations_urls
from readonly_router.operations.history import EventAdmin
from tests.example.shop.models import Product, Tag


class TagAdmin(admin.ModelAdmin):
    list_editable = ["name"]
    list_display = ["pk", "name"]


@allow_in_read_only
def search(request: HttpRequest) -> HttpResponse:
    """Answer a POST that reads."""
    return HttpResponse("found")


class Site(ReadOnlyAdminSite):
    def get_urls(self) -> list:  # type: ignore[type-arg]  # as projects write it
        return [path("search/", self.admin_view(search)), *super().get_urls()]


site = Site(name="admin")
site.register(Product)
site.register(Tag, TagAdmin)
site.register(Event, EventAdmin)
# What is done for every site where the app config is listed.
adopt(site)

urlpatterns = [
    path("admin/migrations/", include((migrations_urls.patterns(site), migrations_urls.app_name))),
    path("admin/", site.urls),
]
