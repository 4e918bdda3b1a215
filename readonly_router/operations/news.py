"""Lets this process know at once what was switched in it: others hear of it, as they do of every switch."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

import psycopg
from django.db import DatabaseError, connections

from .. import conf
from ..errors import ReadOnlyRouterError
from ..following import followers


def learn(aliases: Iterable[str]) -> None:
    """Ask for the switches of these writers, through their twins; what cannot be asked is heard of later."""
    for alias in aliases:
        # A replica knows of none.
        twin, handler = conf.twins()[alias], cast(Any, connections)
        wrapper = handler.real(alias if twin in conf.replicas() else twin)
        with suppress(DatabaseError, ReadOnlyRouterError, psycopg.Error):
            wrapper.ensure_connection()
            followers.of(alias).ask(wrapper.connection)
