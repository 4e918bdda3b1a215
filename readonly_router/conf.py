"""The settings and the one environment variable, read when used: the only module that asks Django's settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from .durations import seconds
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

# What becomes of POST, PUT, PATCH and DELETE in read-only mode: "refuse", "attempt" or "as_get".
READONLY_ROUTER_UNSAFE_METHODS: str = "refuse"
# Requests that are let through all the same: names of URLs ("shop:search"), or patterns of paths ("^/api/").
READONLY_ROUTER_EXEMPT: Sequence[str] = ()
# Functions that do nothing in read-only mode, by dotted path: view counters, last-seen stamps, receivers.
READONLY_ROUTER_SKIP: Sequence[str] = ()
# The session engine that `readonly_router.sessions` keeps to outside the mode.
READONLY_ROUTER_SESSION_STORE: str = "django.contrib.sessions.backends.db"
# "signed_in": visitors stay who they are; "anonymous": in read-only mode everybody appears signed out.
READONLY_ROUTER_VISITORS: str = "signed_in"
# What a 503 says in Retry-After without an ETA: a duration.
READONLY_ROUTER_RETRY_AFTER: str | float = "60s"

VISITORS = ("signed_in", "anonymous")
# What django-db-tools calls them, so that its users need not change their environment.
ANONYMOUS_VARIABLE, GET_ONLY_VARIABLE = "READ_ONLY_MODE", "GET_ONLY_MODE"
UNSAFE_METHODS = ("refuse", "attempt", "as_get")
ENVIRONMENT_VARIABLE = "DB_READ_ONLY"
# Beside DATABASE_READONLY_URL and DB_READONLY_PASSWORD a likely slip, which would leave a process writable.
MISSPELT = "DB_READONLY"


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
    """Return what `DB_READ_ONLY` says, or django-db-tools' names where it says nothing.

    Raises ConfigurationError for a value outside the list.
    """
    environ = os.environ if environ is None else environ
    if MISSPELT in environ:
        raise ConfigurationError(f"{MISSPELT} is not read; the variable's name is {ENVIRONMENT_VARIABLE}.")
    found = _process_mode(environ, ENVIRONMENT_VARIABLE)
    # Whoever means something else by such names is none of ours.
    others = any(_is_set(name, environ) for name in (ANONYMOUS_VARIABLE, GET_ONLY_VARIABLE))
    return ProcessMode.READ_ONLY if others and found is ProcessMode.FOLLOW else found


def _process_mode(environ: Mapping[str, str], name: str) -> ProcessMode:
    value = environ.get(name, "")
    try:
        return _VALUES[value.strip().lower()]
    except KeyError:
        raise ConfigurationError(
            f"{name}={value!r} is not understood; use 1, true, yes or on (read-only), "
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


def unsafe_methods() -> str:
    """Return what becomes of unsafe methods in read-only mode."""
    found = getattr(settings, "READONLY_ROUTER_UNSAFE_METHODS", None)
    if found is None:
        return "as_get" if _is_set(GET_ONLY_VARIABLE) else READONLY_ROUTER_UNSAFE_METHODS
    if found not in UNSAFE_METHODS:
        raise ConfigurationError(
            f"READONLY_ROUTER_UNSAFE_METHODS={found!r} is not understood; use one of {', '.join(UNSAFE_METHODS)}."
        )
    return str(found)


def exempt() -> Sequence[str]:
    """Return the URL names and path patterns that are let through in read-only mode."""
    return _several(getattr(settings, "READONLY_ROUTER_EXEMPT", READONLY_ROUTER_EXEMPT))


def skipped() -> Sequence[str]:
    """Return the dotted paths of what does nothing in read-only mode."""
    return _several(getattr(settings, "READONLY_ROUTER_SKIP", READONLY_ROUTER_SKIP))


def _several(found: Sequence[str]) -> Sequence[str]:
    # A single text is one entry, not its letters: "/" would let every path through.
    return (found,) if isinstance(found, str) else tuple(found)


def session_store() -> str:
    """Return the module of the session engine that ours stands before."""
    return str(getattr(settings, "READONLY_ROUTER_SESSION_STORE", READONLY_ROUTER_SESSION_STORE))


def session_cookies() -> tuple[str, int]:
    """Return the name of the session cookie and the seconds a session lasts."""
    return settings.SESSION_COOKIE_NAME, settings.SESSION_COOKIE_AGE


def visitors_are_anonymous() -> bool:
    """Tell whether everybody appears signed out in read-only mode."""
    found = getattr(settings, "READONLY_ROUTER_VISITORS", None)
    if found is None:
        return _is_set(ANONYMOUS_VARIABLE)
    if found not in VISITORS:
        raise ConfigurationError(
            f"READONLY_ROUTER_VISITORS={found!r} is not understood; use one of {', '.join(VISITORS)}."
        )
    return bool(found == "anonymous")


def _is_set(variable: str, environ: Mapping[str, str] = os.environ) -> bool:
    return environ.get(variable, "").strip().lower() in {"1", "true", "yes", "on"}


def of_the_project(name: str, default: Any = None) -> Any:
    """Return a setting that is not ours; for the system checks."""
    return getattr(settings, name, default)


def retry_after() -> int:
    """Return the seconds of Retry-After without an ETA."""
    found = getattr(settings, "READONLY_ROUTER_RETRY_AFTER", READONLY_ROUTER_RETRY_AFTER)
    try:
        return max(1, round(seconds(found)))
    except ValueError as error:
        raise ConfigurationError(f"READONLY_ROUTER_RETRY_AFTER: {error}") from None


def primary() -> str:
    """Return the writer's alias that a request's own mode is about: `default` where it is in a pair."""
    pairs = twins()
    return "default" if "default" in pairs else next(iter(pairs))


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "READONLY_ROUTER_PAIRS":
        twins.cache_clear()
        writers.cache_clear()


setting_changed.connect(_forget)
