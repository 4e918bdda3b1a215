"""Lets this process know at once what was switched in it: others hear of it, as they do of every switch."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django.db import DatabaseError, connections

from .. import conf, following
from ..errors import ReadOnlyRouterError
from ..watch import load_driver


def learn(aliases: Iterable[str]) -> None:
    """Ask for the switches of these writers, through their twins; what cannot be asked is heard of later."""
    for alias in aliases:
        wrapper: Any = connections[conf.twins()[alias]]
        with suppress(DatabaseError, ReadOnlyRouterError, load_driver().Error):
            wrapper.ensure_connection()
            following.ask(alias, wrapper.connection)
