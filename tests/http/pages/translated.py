"""Addresses that begin with a language."""

from __future__ import annotations

from django.conf.urls.i18n import i18n_patterns
from django.urls import path

from tests.http.pages import session_views, views

urlpatterns = [*i18n_patterns(path("whoami/", session_views.show_session, name="whoami")), *views.urlpatterns]
