"""Plants × commands: whatever the site's own login plants, no command runs it as the admin.

Here in groups and with a superuser; tests/plants has the rest.
"""

from __future__ import annotations

import pytest

from tests.security import commands, traps
from tests.security.commands import told
from tests.security.conftest import Site
from tests.security.plants import GROUPS, PLANTS, Plant, sow, together

# These stand in nobody's way.
UNHINDERED = {"shadows", "types", "settings"}


def test_every_command_of_the_package_is_in_the_table() -> None:
    assert {words[0] for words in commands.in_order()} - {"check"} == set(commands.NAMES)


def test_every_verb_has_a_way_to_be_run() -> None:
    named = {words[1] for words in commands.ROUND if words[0] == "read_only"}
    unknown = {
        verb for verb, parser in commands.verbs().items() if verb not in named and commands.needs_words(parser)
    }
    assert unknown == set()


def test_every_command_does_its_work_where_nothing_is_planted(planted: Site) -> None:
    ran = commands.run_all(planted.scratch, planted.url("superuser"))
    assert planted.hindered(ran) == [], told(ran)
    assert traps.sprung_as(planted.scratch) == set()


def assert_none_is_run(site: Site, plants: tuple[Plant, ...], admin: str) -> None:
    """Plant, run every command, and see as whom the trap was sprung; that it can be sprung is seen too."""
    sow(site.scratch, plants, site.dba)
    ran = commands.run_all(site.scratch, site.url(admin))
    assert traps.sprung_as(site.scratch).isdisjoint(site.admins), told(ran)
    assert not traps.is_superuser(site.scratch, site.scratch.writer), told(ran)
    if {plant.group for plant in plants} <= UNHINDERED:
        assert site.hindered(ran) == [], told(ran)
    assert [each.name for each in plants if each.careless and not traps.springs(site.scratch, each.careless)] == []


@pytest.mark.parametrize("group", GROUPS)
def test_no_command_runs_a_plant_as_the_superuser(planted: Site, group: str) -> None:
    assert_none_is_run(planted, together(plant for plant in PLANTS if plant.group == group), "superuser")
