"""Each plant alone: what one of a group may hide of another, such as a refusal that comes first, shows here."""

from __future__ import annotations

import pytest

from tests.security.conftest import Site, planted, unsettled
from tests.security.plants import GROUPS, PLANTS, Plant, together
from tests.security.test_plants import assert_none_is_run

__all__ = ["planted", "unsettled"]


@pytest.mark.parametrize("admin", ["superuser", "dba"])
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_no_command_runs_a_plant_as_the_admin(planted: Site, plant: Plant, admin: str) -> None:
    assert_none_is_run(planted, (plant,), admin)


@pytest.mark.parametrize("group", GROUPS)
def test_no_command_runs_plants_beside_each_other_as_the_dba(planted: Site, group: str) -> None:
    assert_none_is_run(planted, together(plant for plant in PLANTS if plant.group == group), "dba")
