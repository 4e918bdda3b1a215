"""What the views of the tests note of themselves, and the write that they share."""

from __future__ import annotations

from typing import Any

from tests.example.shop.models import Tag

# Which views ran, and what they saw.
ran: list[Any] = []


def write() -> None:
    Tag.objects.create(name="door")
