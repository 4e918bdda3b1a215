"""The site's own app."""

from django.apps import AppConfig


class HomeConfig(AppConfig):
    name = "tests.wagtail.home"
    label = "home"
    default_auto_field = "django.db.models.BigAutoField"
