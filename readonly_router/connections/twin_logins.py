"""A twin that cannot log in: one error with the remedy, logged once per process until it works again."""

from __future__ import annotations

import logging

from django.db import connections

from .. import conf, mode
from ..errors import TwinLoginError
from ..logins import one_line, parameters
from ..remedies import remedy

logger = logging.getLogger("readonly_router")

# The twins that gave no session when they were last asked for one.
_failing: set[str] = set()


def failed(twin: str, error: Exception) -> TwinLoginError:
    """Return the error of a twin that gave no session; log it where the site reads as that twin now."""
    said = one_line(error)
    found = TwinLoginError.of(
        f"The twin '{twin}' cannot log in ({said}). Without its twin the site cannot even be read while it is "
        f"read-only; {remedy(said, parameters(connections.settings[twin], twin))}.",
        alias=twin,
    )
    if serves(twin) and twin not in _failing:
        _failing.add(twin)
        logger.error("%s", found)
    return found


def worked(twin: str) -> None:
    """Note that the twin gave a session."""
    if twin in _failing:
        _failing.discard(twin)
        logger.warning("The twin '%s' can log in again.", twin)


def serves(twin: str) -> bool:
    """Return whether the site reads as this twin here and now."""
    return mode.is_read_only(conf.writers().get(twin, ""))
