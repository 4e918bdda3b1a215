"""The status and health endpoints, to include under a path of your own."""

from __future__ import annotations

from django.urls import path

from .installed import refuse_without_app
from .views import health, status

refuse_without_app(__name__)

app_name = "readonly_router"
urlpatterns = [path("status/", status, name="status"), path("health/", health, name="health")]
