"""The settings and the one environment variable, read when used: the only module that asks Django's settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from .errors import ConfigurationError

# Writer alias -> twin alias, for every database that can be switched to read-only.
READONLY_ROUTER_PAIRS: dict[str, str] = {"default": "readonly"}

# Have PostgreSQL push the news of the switch (LISTEN); False asks once a second instead.
READONLY_ROUTER_LISTEN: bool = True

# Defaults of `manage.py read_only on`: seconds, or as people write them ("90s", "5m", "1h").
READONLY_ROUTER_GRACE: str | float = "5s"
READONLY_ROUTER_DEADLINE: str | float = "30s"
# "settings": the role's default alone; "login": also NOLOGIN.
READONLY_ROUTER_FENCE: str = "settings"

ENVIRONMENT_VARIABLE = "DB_READ_ONLY"


class ProcessMode(Enum):
    """What `DB_READ_ONLY`, or a shell, says about this process."""

    FOLLOW = "follow"
    READ_ONLY = "read-only"
    LOCKED = "locked"
    WRITABLE = "writable"


_VALUES = {
    **dict.fromkeys(("", "0", "false", "no", "off"), ProcessMode.FOLLOW),
    **dict.fromkeys(("1", "true", "yes", "on"), ProcessMode.READ_ONLY),
    "locked": ProcessMode.LOCKED,
}


def process_mode(environ: Mapping[str, str] | None = None) -> ProcessMode:
    """Return what `DB_READ_ONLY` says; raise ConfigurationError for a value outside the list."""
    value = (os.environ if environ is None else environ).get(ENVIRONMENT_VARIABLE, "")
    try:
        return _VALUES[value.strip().lower()]
    except KeyError:
        raise ConfigurationError(
            f"{ENVIRONMENT_VARIABLE}={value!r} is not understood; use 1, true, yes or on (read-only), "
            "locked (read-only, no writer login in the process), or 0, false, no, off or nothing (not read-only)."
        ) from None


@lru_cache(maxsize=1)
def twins() -> dict[str, str]:
    """Return writer alias -> twin alias; raise ConfigurationError when the setting is not such a mapping."""
    pairs = getattr(settings, "READONLY_ROUTER_PAIRS", READONLY_ROUTER_PAIRS)
    if not isinstance(pairs, Mapping) or not all(isinstance(a, str) for pair in pairs.items() for a in pair):
        raise ConfigurationError(
            "READONLY_ROUTER_PAIRS must map writer aliases to twin aliases, as in {'default': 'readonly'}."
        )
    if not pairs:
        raise ConfigurationError("READONLY_ROUTER_PAIRS is empty, so no database would be read-only; name a pair.")
    if len({*pairs, *pairs.values()}) != 2 * len(pairs):
        raise ConfigurationError(
            "READONLY_ROUTER_PAIRS names an alias twice; each writer needs a twin of its own."
        )
    return dict(pairs)


@lru_cache(maxsize=1)
def writers() -> dict[str, str]:
    """Return twin alias -> writer alias."""
    return {twin: writer for writer, twin in twins().items()}


def listen() -> bool:
    """Tell whether connections LISTEN for the switch."""
    return bool(getattr(settings, "READONLY_ROUTER_LISTEN", READONLY_ROUTER_LISTEN))


def grace() -> str | float:
    """Return how long a busy session may go on after the switch."""
    return getattr(settings, "READONLY_ROUTER_GRACE", READONLY_ROUTER_GRACE)


def deadline() -> str | float:
    """Return how long a drain may take before it is undone."""
    return getattr(settings, "READONLY_ROUTER_DEADLINE", READONLY_ROUTER_DEADLINE)


def fence() -> str:
    """Return what keeps writers out beside the mode."""
    return str(getattr(settings, "READONLY_ROUTER_FENCE", READONLY_ROUTER_FENCE))


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "READONLY_ROUTER_PAIRS":
        twins.cache_clear()
        writers.cache_clear()


setting_changed.connect(_forget)
