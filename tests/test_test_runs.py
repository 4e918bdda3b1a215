"""Test runs of a site: refused in one line where the process is read-only, and not told to provision otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site import Site, site

SAID = "DB_READ_ONLY is set, and tests make and fill a database of their own; run them without it"
TESTS = """
from django.test import TestCase

from tests.example.shop.models import Tag

class WritesTests(TestCase):
    def test_one(self):
        Tag.objects.create(name="one")

    def test_two(self):
        Tag.objects.create(name="two")
"""


@pytest.fixture(scope="module")
def shop_site(server: str) -> Iterator[Site]:
    with site(server) as made:
        yield made


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder with tests of somebody's project."""
    (tmp_path / "test_of_a_site.py").write_text(TESTS)
    return tmp_path


@pytest.mark.parametrize("value", ["1", "locked"])
def test_djangos_runner_refuses_a_read_only_process(shop_site: Site, suite: Path, value: str) -> None:
    ended = shop_site.manage("test", str(suite), DB_READ_ONLY=value)
    assert (ended.returncode, ended.stderr.count(SAID), "Traceback" in ended.stderr) == (1, 1, False), ended.stderr


@pytest.mark.parametrize("value", ["1", "locked"])
def test_pytest_refuses_a_read_only_process_once(shop_site: Site, suite: Path, value: str) -> None:
    options = ["-p", "no:cacheprovider", "-p", "no:randomly", "--ds=tests.example.settings", f"--rootdir={suite}"]
    ended = shop_site.run(
        f"import pytest, sys; sys.exit(pytest.main({[*options, str(suite)]}))", DB_READ_ONLY=value
    )
    said = ended.stdout + ended.stderr
    assert (ended.returncode, said.count(SAID), "no tests ran" in said) == (4, 1, True), said


def test_a_run_in_normal_mode_is_told_of_no_twin(shop_site: Site, suite: Path) -> None:
    with shop_site.scratch.superuser() as connection:
        connection.execute(f'ALTER ROLE "{shop_site.scratch.writer}" CREATEDB'.encode())
    ended = shop_site.manage("test", str(suite))
    assert (ended.returncode, "Ran 2 tests" in ended.stderr) == (0, True), ended.stderr
    assert "readonly_router.W0" not in ended.stdout + ended.stderr
