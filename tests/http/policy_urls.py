"""The pages of ours, and pages of a site that show its banner, for tests of what must not happen on them."""

from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import include, path

from tests.http.inside_urls import urlpatterns as admin
from tests.http.pages.views import urlpatterns as pages

PAGE = "<!DOCTYPE html><html><body>{% load read_only %}{% read_only_banner %}<main></main></body></html>"


def with_banner(request: HttpRequest) -> HttpResponse:
    return HttpResponse(engines["django"].from_string(PAGE).render({}, request))


def with_banner_by_nonce(request: HttpRequest) -> HttpResponse:
    """Render without the request, as a project may, and with the nonce that it names."""
    nonce = getattr(request, "csp_nonce", None) or getattr(request, "_csp_nonce", None)
    context = {"csp_nonce": nonce if nonce is not None else request.csp_nonce}  # type: ignore[attr-defined]
    return HttpResponse(engines["django"].from_string(PAGE).render(context))


def flush(request: HttpRequest) -> HttpResponse:
    """End a session without a look at it."""
    request.session.flush()
    return HttpResponse("ended")


urlpatterns = [
    path("flush/", flush),
    *admin,
    path("read-only/", include("readonly_router.urls")),
    path("with-banner/", with_banner),
    path("with-banner-by-nonce/", with_banner_by_nonce),
    *pages,
]
