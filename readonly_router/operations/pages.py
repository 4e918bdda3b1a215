"""The operators' page in an admin site: how the switch stands, its history, and the buttons that throw it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.admin.sites import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from ..http.nonce import nonce_of
from ..switch import off, on
from ..switch.amend import amend_switch
from ..switch.spec import Tell
from . import access, board, places
from .forms import Amend, Databases, Off, On
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

    def switch(**options: Any) -> Mapping[str, Any]:
        return {"receipts": [(receipt, receipt.to_json(indent=2)) for receipt in on.switch_on(**options)]}

    question, title = _("Switch read-only?"), _("Switching read-only")
    return _switch(request, site, On(request.POST), switch, question=question, title=title)


@require_POST
@access.only(access.may_switch)
def switch_off(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    """Have it confirmed, then open the site again and show how that goes."""

    def switch(**options: Any) -> Mapping[str, Any]:
        return {"opened": off.switch_off(**options)}

    question, title = _("Open the site again?"), _("Opening the site again")
    return _switch(request, site, Off(request.POST), switch, question=question, title=title)


@require_POST
@access.only(access.may_switch)
def amend(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    """Replace the reason and the expected end of a window that is open."""

    def switch(**options: Any) -> Mapping[str, Any]:
        return {"amended": amend_switch(**options)}

    return _switch(request, site, Amend(request.POST), switch, title=_("Replacing what visitors are told"))


def _switch(
    request: HttpRequest,
    site: AdminSite,
    form: Databases,
    switch: Callable[..., Mapping[str, Any]],
    *,
    title: str,
    question: str = "",
) -> HttpResponseBase:
    """Show a form that is wrong again, ask the question where there is one, or do it and show how that goes."""
    if not form.is_valid():
        return _board(request, site, form)
    if question and "confirmed" not in request.POST:
        pairs = [pair for pair in board.board().pairs if pair.alias in form.chosen()]
        own = {"title": question, "form": form, "pairs": pairs}
        return TemplateResponse(request, f"{FOLDER}/confirm.html", _context(request, site, own))
    by = request.user.get_username()

    def work(tell: Tell) -> Mapping[str, Any]:
        result = switch(**form.options(), by=by, tell=lambda line: tell(f"{line}\n"))
        learn(form.chosen())
        return result

    context = _context(request, site, {"title": title, "back_url": places.url(site, places.BOARD)})
    return stream(
        request, work, template=f"{FOLDER}/running.html", result=f"{FOLDER}/switched.html", context=context
    )


def _board(request: HttpRequest, site: AdminSite, wrong: Databases | None = None) -> HttpResponse:
    found = board.board()
    own = {
        "title": _("Read-only mode"),
        "board": found,
        "history": [(event, board.told(event)) for event in board.events()],
        "history_url": places.url(site, "readonly_router_event_changelist"),
        "migrations_url": places.migrations_url(request.user),
        "may_switch": access.may_switch(request.user),
        "on": On(chosen=found.writable) if found.writable else None,
        "amend": Amend(chosen=found.switched) if found.switched else None,
        "off": Off(chosen=found.read_only) if found.read_only else None,
        "script_url": places.url(site, places.SCRIPT),
        **({wrong.verb: wrong} if wrong else {}),
    }
    context = _context(request, site, own)
    return TemplateResponse(request, f"{FOLDER}/board.html", context, status=422 if wrong else 200)


def _context(request: HttpRequest, site: AdminSite, own: Mapping[str, Any]) -> dict[str, Any]:
    request.current_app = site.name
    return {**site.each_context(request), "csp_nonce": nonce_of(request), **own}
