"""The addresses of the operators' page within an admin site."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any

from django.contrib.admin.sites import AdminSite
from django.db import connections, transaction
from django.urls import URLPattern, path, reverse_lazy

from ..http.exemptions import allow_in_read_only
from . import pages, places

Page = Callable[..., Any]


def patterns(site: AdminSite) -> list[URLPattern]:
    """Return the patterns for a site to put before its own."""
    return [
        path("read-only/", of_site(site, pages.show), name=places.BOARD),
        path("read-only/on/", of_site(site, pages.switch_on), name=places.ON),
        path("read-only/off/", of_site(site, pages.switch_off), name=places.OFF),
        path("read-only/amend/", of_site(site, pages.amend), name=places.AMEND),
        path("read-only/live.js", of_site(site, pages.script), name=places.SCRIPT),
    ]


def of_site(site: AdminSite, page: Page) -> Any:
    """Return a page as a view of an admin site."""
    view: Any = site.admin_view(_let_through(update_wrapper(partial(page, site=site), page)))
    # Read by Django's LoginRequiredMiddleware, as of its own views.
    view.login_url = reverse_lazy("admin:login", current_app=site.name)
    return view


def _let_through(view: Page) -> Any:
    """Let a page of the operators run whatever the mode, and outside of ATOMIC_REQUESTS.

    A switch thrown, or a migration run, within a transaction of the request's own would wait for it for ever.
    """
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return allow_in_read_only(view)
