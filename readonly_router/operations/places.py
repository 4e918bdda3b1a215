"""Where the operators' pages are in an admin site, and how they are found."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.sites import AdminSite
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from . import access

BOARD, ON, OFF, AMEND = "read_only", "read_only_on", "read_only_off", "read_only_amend"
SCRIPT = "read_only_script"
MIGRATIONS = "readonly_router_migrations"
APP = "readonly_router"


def url(site: AdminSite, name: str) -> str:
    """Return the address of a page; empty where the site has none."""
    try:
        return reverse(f"admin:{name}", current_app=site.name)
    except NoReverseMatch:
        return ""


def migrations_url(user: Any) -> str:
    """Return the address of the migrations page; empty where it is not included, or not for this user."""
    try:
        return reverse(f"{MIGRATIONS}:plan") if access.may_migrate(user) else ""
    except NoReverseMatch:
        return ""


def with_board(site: AdminSite, request: HttpRequest, apps: list[Any], app_label: str | None = None) -> list[Any]:
    """Add the operators' page to a list of apps, for those who may see it."""
    address = url(site, BOARD) if app_label in {None, APP} and access.may_see(request.user) else ""
    if address:
        _app(site, apps)["models"].insert(0, _entry(address))
    return apps


def _app(site: AdminSite, apps: list[Any]) -> dict[str, Any]:
    found = next((each for each in apps if each["app_label"] == APP), None)
    if found is None:
        found = {
            "name": _("Read-only mode"),
            "app_label": APP,
            "app_url": url(site, BOARD),
            "has_module_perms": True,
            "models": [],
        }
        apps.append(found)
    return found


def _entry(address: str) -> dict[str, Any]:
    """Return what stands for a page where Django and its themes list models."""
    from ..models import Event  # noqa: PLC0415 - this module is imported before there are models

    return {
        "model": Event,
        "name": _("Operators' page"),
        "object_name": "OperatorsPage",
        "perms": {"add": False, "change": False, "delete": False, "view": True},
        "admin_url": address,
        "add_url": None,
        "view_only": True,
    }
