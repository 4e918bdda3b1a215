"""One process of the example site that serves requests by itself, through middleware of its choice; both modes."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from typing import Any
from wsgiref.util import setup_testing_defaults

import django

from tests.bench import OURS
from tests.bench.fleet import SECONDS
from tests.bench.query_worker import timed
from tests.bench.request_worker import _noted
from tests.bench.workers import serve

MIDDLEWARE = {
    "none": [],
    OURS: ["readonly_router.middleware.ReadOnlyMiddleware"],
    "django-maintenance-mode": ["maintenance_mode.middleware.MaintenanceModeMiddleware"],
}
PAGES = {"a list": "/", "a page of the list": "/products/{slug}/", "orders, signed in": "/orders/"}


class Served:
    """A process of the site: handlers by the name of their middleware, and whoever signed in."""

    def __init__(self) -> None:
        django.setup()
        installed = importlib.util.find_spec("maintenance_mode") is not None
        self.names = [name for name in MIDDLEWARE if installed or not name.endswith("maintenance-mode")]
        self.sync = {name: _sync_handler(MIDDLEWARE[name]) for name in self.names}
        self.whole = _sync_handler(None)
        self.loop = asyncio.new_event_loop()
        self.asynchronous = {name: _async_handler(MIDDLEWARE[name]) for name in self.names}
        self.cookies = SimpleCookie()

    def settle(self) -> list[str]:
        """Serve until the connection is old enough to listen; return the names of what can be measured."""
        from django.db import connections

        from readonly_router.following.watch import watch_of

        self._sign_in()
        deadline = time.monotonic() + SECONDS
        while watch_of(connections["default"].connection).pushed is None:
            if time.monotonic() > deadline:
                raise SystemExit("The connection never listened.")
            time.sleep(0.05)
            self.page("/")
        return self.names

    def _sign_in(self) -> None:
        from django.contrib.auth import get_user_model
        from django.test import Client

        client = Client()
        client.force_login(get_user_model().objects.get(username="customer"))
        self.cookies = client.cookies

    def page(self, path: str) -> None:
        """Serve one page through all of the site's middleware, as a server does."""
        response = self.whole(_environ(path, self.cookies), lambda *_: None)
        assert response.status_code == 200, (path, response.status_code)
        for _ in response:
            pass
        response.close()

    def around_nothing(self, name: str, count: int) -> float:
        """Return the least microseconds of a request that does nothing, sync."""
        handler, environ = self.sync[name], _environ("/nothing/", SimpleCookie())

        def visit() -> None:
            handler(dict(environ), lambda *_: None).close()

        return timed(visit, count)["least"]

    def around_nothing_async(self, name: str, count: int) -> float:
        """Return the least microseconds of a request that does nothing, within one event loop."""
        from django.core.handlers.wsgi import WSGIRequest

        handler, environ = self.asynchronous[name], _environ("/nothing-async/", SimpleCookie())

        async def visits() -> float:
            times = []
            for _ in range(count + 5):
                request = WSGIRequest(dict(environ))
                began = time.perf_counter_ns()
                response = await handler(request)
                times.append(time.perf_counter_ns() - began)
                response.close()
            return min(times[5:]) / 1000

        return self.loop.run_until_complete(visits())

    def statements(self, name: str) -> int:
        """Return how many statements requests that do nothing send."""
        found: list[Any] = []
        with _noted(found, []):
            self.around_nothing(name, 50)
            self.around_nothing_async(name, 50)
        return len(found)

    def pages(self, count: int) -> dict[str, dict[str, float]]:
        """Return the least microseconds of each page, and how many statements one visit sends."""
        return {title: self._page(_path(title), count) for title in PAGES}

    def _page(self, path: str, count: int) -> dict[str, float]:
        least = timed(lambda: self.page(path), count)["least"]
        found: list[Any] = []
        with _noted(found, []):
            self.page(path)
        return {"least": least, "statements": len(found)}

    def throw(self, on: bool) -> bool:
        """Throw the switch, and visit until this process serves by it."""
        from readonly_router import is_read_only, switch_off, switch_on

        switch_on("default", grace=0) if on else switch_off("default", grace=0)
        deadline = time.monotonic() + SECONDS
        while is_read_only() != on:
            if time.monotonic() > deadline:
                raise SystemExit("The process did not follow.")
            self.page("/")
        for title in PAGES:
            self.page(_path(title))
        return on


def _path(title: str) -> str:
    from tests.example.shop.models import Product

    path = PAGES[title]
    return path.format(slug=Product.objects.order_by("pk")[0].slug) if "{" in path else path


def _environ(path: str, cookies: SimpleCookie) -> dict[str, Any]:
    said = "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())
    environ: dict[str, Any] = {"PATH_INFO": path, "HTTP_COOKIE": said}
    setup_testing_defaults(environ)
    return environ


def _sync_handler(middleware: list[str] | None) -> Callable[..., Any]:
    from django.core.handlers.wsgi import WSGIHandler
    from django.test import override_settings

    if middleware is None:
        return WSGIHandler()
    with override_settings(MIDDLEWARE=middleware):
        return WSGIHandler()


def _async_handler(middleware: list[str]) -> Callable[..., Awaitable[Any]]:
    from django.core.handlers.base import BaseHandler
    from django.test import override_settings

    handler = BaseHandler()
    with override_settings(MIDDLEWARE=middleware):
        handler.load_middleware(is_async=True)
    return handler.get_response_async


def main() -> None:
    served = Served()
    serve(
        {
            "settle": served.settle,
            "sync": served.around_nothing,
            "async": served.around_nothing_async,
            "statements": served.statements,
            "pages": served.pages,
            "throw": served.throw,
        }
    )


if __name__ == "__main__":
    main()
