"""The first session of a twin in a process: whether it leads to its writer's database.

One question on the twin's session. It is compared with what the process knows of the writer; where that is not the
same (a standby, a server that restarted) the writer is asked once, unless DB_READ_ONLY keeps its login unused.
"""

from __future__ import annotations

import logging
from typing import Any

import psycopg
from django.db import connections

from .. import conf, logins, mode
from ..conf import ProcessMode
from ..errors import ConfigurationError, ProvisioningError, message
from ..following import followers
from ..place import Place, refusal, uncompared

logger = logging.getLogger("readonly_router")

# Which twins were compared, each with where its entry led.
_met: set[tuple[str, str, int, str]] = set()
CONNECT_TIMEOUT_SECONDS = 3


def forget() -> None:
    """Compare every twin again; for tests, and a process that changes its databases."""
    _met.clear()


def refuse_elsewhere(connection: Any, twin: str) -> None:
    """Raise ConfigurationError where a twin's session leads to other data than its writer's; asked once."""
    key = (str(twin), connection.info.host, connection.info.port, connection.info.dbname)
    writer = conf.writers().get(twin)
    if writer is None or twin in conf.replicas() or key in _met:
        return
    found = logins.place_of(connection)
    if followers.of(writer).instance != (found.oid, found.started):
        refused, missing = compared(writer, twin, found)
        if refused:
            raise ConfigurationError(refused)
        if missing:
            logger.info("'%s' reads %s; not compared with '%s': %s", twin, found, writer, missing)
    _met.add(key)


def compared(writer: str, twin: str, found: Place) -> tuple[str, str]:
    """Return why a twin's place is refused, and what of it could not be compared; the writer is asked."""
    if mode.process() in {ProcessMode.READ_ONLY, ProcessMode.LOCKED}:
        return "", f"{conf.ENVIRONMENT_VARIABLE} keeps the writer's login unused in this process."
    try:
        known = _ask_writer(writer)
    except (ProvisioningError, psycopg.Error) as error:
        return "", message(error)
    return refusal(writer, twin, known, found), uncompared(known, found)


def _ask_writer(writer: str) -> Place:
    way = logins.parameters(connections.settings[writer], writer)
    brief = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, "application_name": "readonly_router"}
    with logins.connect(f"the writer '{writer}'", {**brief, **way}) as connection:
        return logins.place_of(connection)
