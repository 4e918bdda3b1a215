"""What the operators' page shows of an event that no command wrote: something, for the page throws the switch."""

from __future__ import annotations

from typing import Any

import pytest

from readonly_router.models import Event
from readonly_router.operations import board


@pytest.mark.parametrize("kind", ["on", "amended", "off", "undone", "exec", "migrate", "other"])
@pytest.mark.parametrize(
    "details",
    [7, None, [], "text", {"command": [1]}, {"command": 3}, {"applied": 3}, {"plan": "x", "applied": {}}],
    ids=str,
)
def test_details_of_any_shape_are_told(kind: str, details: Any) -> None:
    assert isinstance(board.told(Event(kind=kind, details=details)), str)
