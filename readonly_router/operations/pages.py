"""The operators' page in an admin site: how the switch stands, its history, and the buttons that throw it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.admin.sites import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from ..switch import off, on
from ..switch.spec import Tell
from . import access, board, places
from .forms import Databases, Off, On
from .news import learn
from .streaming import stream

FOLDER = "readonly_router/operations"


@require_safe
@access.only(access.may_see)
def show(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    """Show how the switch stands."""
    return _board(request, site)


@require_safe
@access.only(access.may_see)
def script(request: HttpRequest, site: AdminSite) -> HttpResponseBase:  # noqa: ARG001 - as every page of a site
    """Return what keeps the page up to date: from here, since a static file may not have been collected."""
    return TemplateResponse(request, f"{FOLDER}/live.js", content_type="text/javascript; charset=utf-8")


@require_POST
@access.only(access.may_switch)
def switch_on(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    """Have it confirmed, then make the site read-only and show how that goes."""
    form = On(request.POST)
    if not form.is_valid():
        return _board(request, site, on=form)
    if "confirmed" not in request.POST:
        return _confirm(request, site, form, verb="on", title=_("Switch read-only?"))
    by = request.user.get_username()

    def work(tell: Tell) -> Mapping[str, Any]:
        receipts = on.switch_on(
            form.chosen(),
            reason=form.cleaned_data["reason"],
            eta=form.expected_end(),
            grace=form.cleaned_data["grace"],
            deadline=form.deadline_of_each(),
            by=by,
            tell=_as_lines(tell),
        )
        learn(form.chosen())
        return {"receipts": [(receipt, receipt.to_json(indent=2)) for receipt in receipts]}

    return _run(request, site, work, verb="on", title=_("Switching read-only"))


@require_POST
@access.only(access.may_switch)
def switch_off(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    """Have it confirmed, then open the site again and show how that goes."""
    form = Off(request.POST)
    if not form.is_valid():
        return _board(request, site, off=form)
    if "confirmed" not in request.POST:
        return _confirm(request, site, form, verb="off", title=_("Open the site again?"))
    by = request.user.get_username()

    def work(tell: Tell) -> Mapping[str, Any]:
        reason = form.cleaned_data["reason"]
        opened = off.switch_off(form.chosen(), reason=reason, by=by, tell=_as_lines(tell))
        learn(form.chosen())
        return {"opened": opened}

    return _run(request, site, work, verb="off", title=_("Opening the site again"))


def _as_lines(tell: Tell) -> Tell:
    return lambda line: tell(f"{line}\n")


def _board(request: HttpRequest, site: AdminSite, *, on: On | None = None, off: Off | None = None) -> HttpResponse:
    found = board.board()
    may_switch = access.may_switch(request.user)
    own = {
        "board": found,
        "history": [(event, board.told(event)) for event in board.events()],
        "history_url": places.url(site, "readonly_router_event_changelist"),
        "migrations_url": places.migrations_url(request.user),
        "may_switch": may_switch,
        "on": on or (On(chosen=found.writable) if found.writable else None),
        "off": off or (Off(chosen=found.read_only) if found.read_only else None),
        "script_url": places.url(site, places.SCRIPT),
    }
    status = 422 if on or off else 200
    return _page(request, site, "board", {"title": _("Read-only mode"), **own}, status=status)


def _confirm(request: HttpRequest, site: AdminSite, form: Databases, *, verb: str, title: str) -> HttpResponse:
    pairs = [pair for pair in board.board().pairs if pair.alias in form.chosen()]
    return _page(request, site, "confirm", {"title": title, "form": form, "pairs": pairs, "verb": verb})


def _page(
    request: HttpRequest, site: AdminSite, name: str, own: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    request.current_app = site.name
    context = {**site.each_context(request), **own}
    return TemplateResponse(request, f"{FOLDER}/{name}.html", context, status=status)


def _run(request: HttpRequest, site: AdminSite, work: Any, *, verb: str, title: str) -> HttpResponseBase:
    request.current_app = site.name
    context = {
        **site.each_context(request),
        "title": title,
        "verb": verb,
        "back_url": places.url(site, places.BOARD),
    }
    return stream(
        request, work, template=f"{FOLDER}/running.html", result=f"{FOLDER}/switched.html", context=context
    )
