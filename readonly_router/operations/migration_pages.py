"""The migrations page: what is unapplied, with its SQL, and the button that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.admin.sites import AdminSite
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from .. import conf, mode
from ..http.nonce import nonce_of
from ..switch.spec import Tell
from . import access, places
from .migrating import MigratingError, migrate
from .streaming import stream
from .unapplied import plan_of

FOLDER = "readonly_router/operations"


@require_safe
@access.only(access.may_migrate)
def show(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    """Show what is unapplied in one writer's database."""
    alias = _alias(request.GET.get("database"))
    locked = mode.process() is conf.ProcessMode.LOCKED
    own = {"plan": plan_of(alias), "aliases": tuple(conf.twins()), "locked": locked}
    return _page(request, site, "migrations", {"title": _("Unapplied migrations"), **own})


@require_POST
@access.only(access.may_migrate)
def run(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    """Have it confirmed, then run what was confirmed and show how that goes."""
    alias = _alias(request.POST.get("database"))
    if "confirmed" not in request.POST:
        return _page(request, site, "migrate", {"title": _("Run these migrations?"), "plan": plan_of(alias)})
    expected, by = request.POST.get("plan", ""), request.user.get_username()

    def work(tell: Tell) -> Mapping[str, Any]:
        try:
            return {"applied": migrate(alias, expected=expected, by=by, tell=tell)}
        except MigratingError as error:
            return {"error": str(error), "applied": error.applied}

    context = {
        **_context(request, site),
        "title": _("Running migrations"),
        "back_url": f"{reverse(f'{places.MIGRATIONS}:plan')}?database={alias}",
    }
    return stream(
        request, work, template=f"{FOLDER}/migrating.html", result=f"{FOLDER}/migrated.html", context=context
    )


def _alias(named: str | None) -> str:
    alias = named or conf.primary()
    if alias not in conf.twins():
        raise Http404
    return alias


def _page(request: HttpRequest, site: AdminSite, name: str, own: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, f"{FOLDER}/{name}.html", {**_context(request, site), **own})


def _context(request: HttpRequest, site: AdminSite) -> dict[str, Any]:
    request.current_app = site.name
    return {
        **site.each_context(request),
        "csp_nonce": nonce_of(request),
        "board_url": places.url(site, places.BOARD) if access.may_see(request.user) else "",
    }
