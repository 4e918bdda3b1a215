"""Admins that answer for themselves who may do what, in every way that real ones do."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path

from .models import Box, Label, Shelf


class Permissive:
    """Whoever asks may do everything."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LabelInline(Permissive, admin.TabularInline):
    model = Label
    extra = 2


class BoxInline(Permissive, admin.StackedInline):
    """An inline with inlines of its own, as packages for nesting make them."""

    model = Box
    extra = 2
    min_num = 1
    inlines = [LabelInline]

    def get_inline_instances(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [each(self.model, self.admin_site) for each in self.inlines]


class ShelfAdmin(Permissive, admin.ModelAdmin):
    list_display = ["name", "place"]
    list_editable = ["place"]
    inlines = [BoxInline]
    actions = ["take_down"]
    save_as = True

    @admin.action(description="Take down")
    def take_down(self, request: HttpRequest, queryset: Any) -> None:
        queryset.delete()

    def get_urls(self) -> list[Any]:
        own = (("count/", self.count), ("nested/", self.nested))
        return [*(path(name, self.admin_site.admin_view(view)) for name, view in own), *super().get_urls()]

    def nested(self, request: HttpRequest) -> JsonResponse:
        """Return what may be done in the inlines of an inline, which only packages draw."""
        (boxes,) = self.get_inline_instances(request)
        return JsonResponse(
            {"change": [each.has_change_permission(request) for each in boxes.get_inline_instances(request)]}
        )

    def count(self, request: HttpRequest) -> HttpResponse:
        """Show a page of one's own, with a form, as projects add them."""
        if request.method == "POST":
            Shelf.objects.create(name="counted")
        context = {**self.admin_site.each_context(request), "title": "Count", "content": Shelf.objects.count()}
        return render(request, "admin/base_site.html", context)


admin.site.register(Shelf, ShelfAdmin)


@admin.register(Box)
class BoxAdmin(admin.ModelAdmin):
    """Written long ago: its super() must not find itself in a class between."""

    def get_queryset(self, request: HttpRequest) -> Any:
        return super(self.__class__, self).get_queryset(request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """Have another admin show it, made for this request, as polymorphic ones do."""
        return ChildAdmin(self.model, self.admin_site).change_view(request, object_id, form_url, extra_context)


class ChildAdmin(Permissive, admin.ModelAdmin):
    inlines = [LabelInline]
