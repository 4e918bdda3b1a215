"""The status and health endpoints, to include under a path of your own."""

from __future__ import annotations

from django.urls import path

from .views import health, status

app_name = "readonly_router"
urlpatterns = [path("status/", status, name="status"), path("health/", health, name="health")]
