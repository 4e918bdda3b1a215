"""Processes whose twin cannot log in: a command ends in one line, and a server logs one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.site import Browser, address, gunicorn
from tests.site import Site, site

SAID = "cannot be shown at the moment"
REMEDY = "run manage.py create_readonly_role, or give its password (DB_READONLY_PASSWORD"
LOGGED = "The twin 'readonly' cannot log in"
COUNT = "from tests.example.shop.models import Product; Product.objects.count()"
WRONG = "not-the-twins-password"


@pytest.fixture(scope="module")
def shop_site(server: str) -> Iterator[Site]:
    with site(server) as made:
        yield made


def broken(made: Site) -> dict[str, str]:
    return {"DATABASE_READONLY_URL": made.scratch.url(made.scratch.twin, WRONG), "DB_READ_ONLY": "1"}


@pytest.mark.parametrize("command", [("dumpdata", "shop"), ("shell", "-v0", "-c", COUNT), ("clearsessions",)])
def test_a_command_ends_in_that_one_line(shop_site: Site, command: tuple[str, ...]) -> None:
    ended = shop_site.manage(*command, **broken(shop_site))
    assert ended.returncode == 1
    # Without a LOGGING of its own a project's errors go to stderr as well.
    *logged, last = ended.stderr.splitlines()
    assert last.startswith("CommandError: ")
    assert REMEDY in last
    assert len(logged) == 1
    assert logged[0] in last
    assert WRONG not in ended.stderr


def test_gunicorn_logs_one_line_and_serves_the_page(shop_site: Site, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with gunicorn({**shop_site.env, **broken(shop_site)}, log=log) as served:
        url = address(served, log)
        answers = [Browser().get(url) for _ in range(3)]
        elsewhere = Browser().get(f"{url}/nowhere/")
    assert [answer.status for answer in answers] == [503, 503, 503]
    assert all(SAID.encode() in answer.body for answer in answers)
    assert elsewhere.status == 404
    text = log.read_text()
    assert text.count(LOGGED) == 1
    assert REMEDY in text
    assert "Traceback" not in text
