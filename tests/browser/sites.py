"""The two sites, each on a database of its own and served in processes of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests import database
from tests.http.operating import open_by_hand, served, wait_for
from tests.http.visitor import Visitor
from tests.site import Site

GUNICORN = (
    *("-m", "gunicorn", "django.core.wsgi:get_wsgi_application()", "--bind", "fd://{fd}", "--threads", "8"),
    *("--config", "python:tests.http.gunicorn_config"),
)
# One process makes it all: what takes its time is starting one.
MAKE_SHOP = """
from django.core.management import call_command
from tests.example.shop.content import fill

call_command("migrate", verbosity=0)
call_command("create_readonly_role")
fill()
"""
MAKE_TEA = """
from django.core.management import call_command
from tests.wagtail.content import build

call_command("migrate", verbosity=0)
call_command("create_readonly_role")
build()
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A site and where it is served."""

    made: Site
    address: str

    def url(self, path: str) -> str:
        return self.address + path

    def open_by_hand(self) -> None:
        """End a window without a trace, however a test left it; a process may need a second to hear of it."""
        open_by_hand(self.made)
        wait_for(lambda: '"read_only": false' in Visitor(self.address).get("/read-only/status/").html)


@contextmanager
def shop(server: str, **names: str) -> Iterator[Place]:
    """Make and serve the example site, on a database and roles of whatever names."""
    env = {"DJANGO_SETTINGS_MODULE": "tests.browser.shop_settings"}
    with _place(server, MAKE_SHOP, env, names) as place:
        yield place


@contextmanager
def tea_garden(server: str) -> Iterator[Place]:
    """Make and serve the Wagtail site."""
    with tempfile.TemporaryDirectory(prefix="tea-") as media:
        env = {"DJANGO_SETTINGS_MODULE": "tests.browser.tea_settings", "TEA_MEDIA": media}
        with _place(server, MAKE_TEA, env, {}) as place:
            yield place


@contextmanager
def _place(server: str, make: str, settings: dict[str, str], names: dict[str, str]) -> Iterator[Place]:
    with database.scratch(server, **names) as scratch, scratch.superuser() as superuser:
        env = {name: value for name, value in scratch.env.items() if name != "DATABASE_ADMIN_URL"}
        made = Site(scratch=scratch, superuser=superuser, env={**env, **settings})
        done = made.python(make, DATABASE_ADMIN_URL=scratch.admin_url)
        assert done.returncode == 0, done.stderr
        with served(made, GUNICORN) as address:
            yield Place(made=made, address=address)
