"""Session engines to try the pages with: Django's own that write to the database, and ours over three of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.sessions.backends.base import SessionBase
from django.core.cache import cache
from django.test import Client, override_settings

from readonly_router.sessions import plain

DJANGO = "django.contrib.sessions.backends."
OURS = "readonly_router.sessions"
PLAIN: dict[str, dict[str, str]] = {
    "db": {"SESSION_ENGINE": f"{DJANGO}db"},
    "cached_db": {"SESSION_ENGINE": f"{DJANGO}cached_db"},
}
COOKIES: dict[str, dict[str, str]] = {
    f"ours over {name}": {"SESSION_ENGINE": OURS, "READONLY_ROUTER_SESSION_STORE": f"{DJANGO}{name}"}
    for name in ("db", "cached_db", "cache")
}
NAME = "sessionid"


@contextmanager
def sessions_of(engine: dict[str, str], **more: Any) -> Iterator[None]:
    """Use an engine as a process does that has just started."""
    with override_settings(**engine, **more):
        plain.install()
        kind = store()
        if "_readonly_router_writes" in vars(kind):
            delattr(kind, "_readonly_router_writes")
        cache.clear()
        yield
        cache.clear()


def store(key: str | None = None) -> Any:
    """Return the engine's class, or a session of it."""
    from django.conf import settings

    kind: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    return kind if key is None else kind(key)


def signed_in(name: str = "customer") -> Client:
    """Return a browser whose user signed in in normal mode."""
    client = browser()
    assert client.login(username=name, password=name)
    return client


def browser(**options: Any) -> Client:
    return Client(raise_request_exception=False, **options)


def copy_of(client: Client) -> Client:
    """Return another browser with the same cookies, as a thief has it."""
    other = browser()
    other.cookies[NAME] = client.cookies[NAME].value
    return other


def session_cookie(client: Client) -> str:
    """Return the cookie that a browser keeps; empty when it has none, or was told to forget it."""
    return str(client.cookies[NAME].value) if NAME in client.cookies else ""


def user_of(client: Client) -> str:
    """Return whom the site takes a browser for."""
    return str(client.get("/session/").json()["user"])


def sign_in(client: Client, name: str = "customer") -> int:
    answer = client.post("/accounts/login/", {"username": name, "password": name, "next": "/session/"})
    return int(answer.status_code)


def signed_in_now() -> Client:
    """Return a browser that signed in during the window."""
    client = browser()
    assert sign_in(client) == 302
    return client


def seen(client: Client) -> int:
    """Return how often a browser's session was touched, this time included."""
    return int(client.get("/touch/").content)


class Light(MD5PasswordHasher):
    """A hasher that the site prefers since its users signed up."""

    algorithm = "light"


PREFERRED = ["tests.http.pages.engines.Light", "django.contrib.auth.hashers.MD5PasswordHasher"]
