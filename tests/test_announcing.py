"""A process that is read-only says so in one line of its log when it knows; shells show it as they start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.site import Browser, address, gunicorn
from tests.demo.site import process as started
from tests.harness.pairs import wait_for
from tests.site import MANAGE, Site, path_with_psql, site

VARIABLE = "This process is read-only"
LOCKED = "DB_READ_ONLY=locked: this process has no writer login"
SWITCH = "'default' is switched read-only"


@pytest.fixture(scope="module")
def shop_site(server: str) -> Iterator[Site]:
    with site(server) as made:
        yield made


@pytest.fixture
def switched(shop_site: Site) -> Iterator[None]:
    """The site's switch is on."""
    done = shop_site.manage("read_only", "on", "--reason", "moving", "--grace", "0s")
    assert done.returncode == 0, done.stderr
    yield
    assert shop_site.manage("read_only", "off").returncode == 0


@pytest.mark.parametrize(("value", "line"), [("1", VARIABLE), ("locked", LOCKED)])
def test_a_shell_shows_what_the_variable_says(shop_site: Site, value: str, line: str) -> None:
    ended = shop_site.manage("shell", "-c", "print('at work')", DB_READ_ONLY=value)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (0, 1), ended.stderr
    assert ended.stderr.startswith(line)


def test_a_shell_shows_what_the_switch_says(shop_site: Site, switched: None) -> None:
    ended = shop_site.manage("shell", "-c", "print('at work')")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (0, 1), ended.stderr
    assert ended.stderr.startswith(f"{SWITCH} since")
    assert "(moving)" in ended.stderr


@pytest.mark.parametrize("option", [[], ["--database", "default"], ["--verbosity", "0"]])
def test_dbshell_logs_in_as_the_twin_while_the_switch_is_on(
    shop_site: Site, switched: None, option: list[str]
) -> None:
    ended = shop_site.manage("dbshell", *option, "--", "-XAtc", "SELECT current_user", PATH=path_with_psql())
    assert ended.stdout.strip() == shop_site.scratch.twin, ended.stderr


def test_a_shell_in_normal_mode_shows_nothing(shop_site: Site) -> None:
    assert shop_site.manage("shell", "-c", "print('at work')").stderr == ""


def test_a_silent_shell_shows_nothing(shop_site: Site) -> None:
    assert shop_site.python("print('at work')", DB_READ_ONLY="1").stderr == ""


@pytest.mark.parametrize("reloader", [["--noreload"], []])
def test_runserver_shows_it_once(shop_site: Site, tmp_path: Path, reloader: list[str]) -> None:
    log = tmp_path / "log"
    env = {**shop_site.env, "DB_READ_ONLY": "1"}
    with started(env, str(MANAGE), "runserver", *reloader, "127.0.0.1:0", log=log) as served:
        if reloader:
            assert Browser().get(address(served, log)).status == 200
        else:
            wait_for(lambda: VARIABLE in log.read_text())
            # The reloader ends what it started, which its SIGKILL would leave behind.
            served.terminate()
            served.wait(timeout=60)
    assert log.read_text().count(VARIABLE) == 1


def test_a_server_logs_what_the_variable_says_once(shop_site: Site, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with gunicorn({**shop_site.env, "DB_READ_ONLY": "1"}, log=log) as served:
        url = address(served, log)
        assert [Browser().get(url).status for _ in range(3)] == [200, 200, 200]
    assert log.read_text().count(VARIABLE) == 1


def test_a_server_logs_what_the_switch_says_once(shop_site: Site, switched: None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with gunicorn(shop_site.env, log=log) as served:
        url = address(served, log)
        assert [Browser().get(url).status for _ in range(3)] == [200, 200, 200]
    assert log.read_text().count(SWITCH) == 1
