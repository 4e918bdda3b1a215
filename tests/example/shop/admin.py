"""The shop's models in the admin; what stands on a view can only be looked at."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from .models import Bestseller, Category, CategoryStock, Daily, Order, OrderLine, PageView, Product, Tag


class ViewBackedAdmin(admin.ModelAdmin):
    """Rows that the database computes: nobody can change them, whatever their permissions."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    list_display = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}


@admin.register(Tag)
class TagAdmin(admin.ModelAdmin):
    search_fields = ["name"]


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["name", "sku", "category", "price", "stock"]
    list_filter = ["category", "tags"]
    list_select_related = ["category"]
    search_fields = ["name", "sku"]
    prepopulated_fields = {"slug": ["name"]}
    filter_horizontal = ["tags"]


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["invoice", "email", "created"]
    date_hierarchy = "created"
    search_fields = ["invoice", "email"]
    raw_id_fields = ["customer"]
    inlines = [OrderLineInline]


@admin.register(OrderLine)
class OrderLineAdmin(admin.ModelAdmin):
    list_display = ["order", "product", "quantity", "price"]
    list_select_related = ["order", "product"]


@admin.register(PageView)
class PageViewAdmin(admin.ModelAdmin):
    list_display = ["path", "hits"]


@admin.register(Daily)
class DailyAdmin(admin.ModelAdmin):
    list_display = ["day", "orders", "takings"]


@admin.register(Bestseller)
class BestsellerAdmin(ViewBackedAdmin):
    list_display = ["product", "sold", "revenue"]
    list_select_related = ["product"]


@admin.register(CategoryStock)
class CategoryStockAdmin(ViewBackedAdmin):
    list_display = ["category", "products", "pieces", "worth"]
    list_select_related = ["category"]
