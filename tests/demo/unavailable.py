"""A middleware of the demo's site: it answers a refused write with 503 and the refusal's own words."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from readonly_router import ReadOnlyError


class Unavailable:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, ReadOnlyError):
            return None
        return HttpResponse(str(error), status=503, content_type="text/plain; charset=utf-8")
