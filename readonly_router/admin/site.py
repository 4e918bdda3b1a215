"""Admin sites that know the mode: a banner on each page, an honest 503, and the operators' page."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib.admin.sites import AdminSite, all_sites
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect

from .. import conf, mode
from ..http.exemptions import is_exempt
from ..http.request_mode import SAFE, is_read_only
from ..http.responses import unavailable
from ..operations import access, places, urls
from ..operations.banner import with_banner
from . import view_only
from .view_only import was_withheld

View = Callable[..., HttpResponseBase]
_MARK = "_readonly_router_adopts"


class ReadOnlyAdminSite(AdminSite):
    """An AdminSite that shows the mode; every other one becomes such a site when it is made (see `install`)."""

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        return super().admin_view(_answering(self, view), cacheable)

    # These two keep Django's names, by which they are let through in read-only mode, whatever they override; the
    # ignores are for wraps, which says less of their parameters.
    @functools.wraps(AdminSite.login)
    def login(  # type: ignore[override]  # Django's is decorated, with another type
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        if request.method == "GET" and _would_loop(self, request):
            return _out_of_the_loop(self, request)
        return with_banner(self, request, super().login(request, extra_context))

    @functools.wraps(AdminSite.logout)
    def logout(  # type: ignore[override]  # Django's is decorated, with another type
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        return super().logout(request, extra_context)

    def get_urls(self) -> list[Any]:
        # Before Django's, whose last pattern catches all.
        return [*urls.patterns(self), *super().get_urls()]

    def get_app_list(self, request: HttpRequest, *args: Any, **kwargs: Any) -> list[Any]:
        return places.with_board(self, request, super().get_app_list(request, *args, **kwargs), *args, **kwargs)


def install() -> None:
    """Adopt every admin site there is or will be, with all their ModelAdmins. Idempotent."""
    view_only.install()
    plain = AdminSite.__init__
    if not getattr(plain, _MARK, False):

        @functools.wraps(plain)
        def adopted(self: Any, *args: Any, **kwargs: Any) -> None:
            plain(self, *args, **kwargs)
            adopt(self)

        setattr(adopted, _MARK, True)
        # Django has no seam here; the ignore is for assigning a method.
        AdminSite.__init__ = adopted  # type: ignore[method-assign]  # no seam for sites made by others
    for site in all_sites:
        adopt(site)


def adopt(site: Any) -> None:
    """Make a site, of whatever class, one that knows the mode."""
    if not isinstance(site, ReadOnlyAdminSite):
        kind: Any = type(site)
        site.__class__ = _adopted(kind)
    for model_admin in site._registry.values():
        view_only.guard(model_admin)


@functools.lru_cache
def _adopted(kind: Any) -> Any:
    if kind is AdminSite:
        return ReadOnlyAdminSite
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (ReadOnlyAdminSite, kind), names)


def _answering(site: AdminSite, view: View) -> View:
    """Return a view of the admin that says so where it is the mode that is in the way."""

    @functools.wraps(view)
    def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        # Also where the project lets unsafe methods through elsewhere, or lacks the middleware.
        if request.method not in SAFE and is_read_only() and not is_exempt(request, view):
            return _unavailable(request)
        try:
            response = view(request, *args, **kwargs)
        except PermissionDenied:
            if was_withheld(request):
                return _unavailable(request)
            raise
        return with_banner(site, request, response)

    return answering


def _unavailable(request: HttpRequest) -> HttpResponseBase:
    return unavailable(request, mode.get_status(conf.primary()))


def _would_loop(site: AdminSite, request: HttpRequest) -> bool:
    """Return whether Django would send who is signed in to a page on which everybody appears signed out."""
    return is_read_only() and conf.visitors_are_anonymous() and site.has_permission(request)


def _out_of_the_loop(site: AdminSite, request: HttpRequest) -> HttpResponseBase:
    """Send operators to the one page that knows them, and tell everybody else."""
    if access.may_see(request.user):
        return HttpResponseRedirect(places.url(site, places.BOARD))
    return _unavailable(request)
