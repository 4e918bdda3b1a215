"""The warehouse as a Django app."""

from django.apps import AppConfig


class WarehouseConfig(AppConfig):
    name = "tests.http.warehouse"
    label = "warehouse"
    default_auto_field = "django.db.models.BigAutoField"
