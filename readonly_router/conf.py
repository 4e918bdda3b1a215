"""The settings and the one environment variable, read when used: the only module that asks Django's settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from . import values
from .errors import ConfigurationError
from .near_names import refuse_near_names

# Writer alias -> twin alias, for every database that can be switched to read-only.
READONLY_ROUTER_PAIRS: dict[str, str] = {"default": "readonly"}

# Twin aliases that read a logical replica or another copy on purpose: no standby of the writer's server.
READONLY_ROUTER_REPLICAS: Sequence[str] = ()

# Have PostgreSQL push the news of the switch (LISTEN); False asks once a second instead.
READONLY_ROUTER_LISTEN: bool = True

# Parameters with a dot ("app.tenant") that the application SETs on its sessions: PostgreSQL lists them nowhere.
READONLY_ROUTER_PARAMETERS: Sequence[str] = ()

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

FENCES = ("settings", "login")
VISITORS = ("signed_in", "anonymous")
# Our own session engine.
OUR_SESSIONS = "readonly_router.sessions"
# What django-db-tools calls them, so that its users need not change their environment.
ANONYMOUS_VARIABLE, GET_ONLY_VARIABLE = "READ_ONLY_MODE", "GET_ONLY_MODE"
UNSAFE_METHODS = ("refuse", "attempt", "as_get")
ENVIRONMENT_VARIABLE = "DB_READ_ONLY"


class ProcessMode(Enum):
    """What `DB_READ_ONLY`, or a shell, says about this process."""

    FOLLOW = "follow"
    READ_ONLY = "read-only"
    LOCKED = "locked"
    WRITABLE = "writable"


VALUES = {
    **dict.fromkeys(("", "0", "false", "no", "off"), ProcessMode.FOLLOW),
    **dict.fromkeys(("1", "true", "yes", "on"), ProcessMode.READ_ONLY),
    "locked": ProcessMode.LOCKED,
}


def process_mode(environ: Mapping[str, str] | None = None) -> ProcessMode:
    """Return what `DB_READ_ONLY` says, or django-db-tools' names where it says nothing.

    Raises ConfigurationError for a value outside the list.
    """
    environ = os.environ if environ is None else environ
    refuse_near_names(ENVIRONMENT_VARIABLE, environ)
    found = _process_mode(environ, ENVIRONMENT_VARIABLE)
    # Whoever means something else by such names is none of ours.
    others = any(_is_set(name, environ) for name in (ANONYMOUS_VARIABLE, GET_ONLY_VARIABLE))
    return ProcessMode.READ_ONLY if others and found is ProcessMode.FOLLOW else found


def _process_mode(environ: Mapping[str, str], name: str) -> ProcessMode:
    value = environ.get(name, "")
    try:
        return VALUES[value.strip().lower()]
    except KeyError:
        raise ConfigurationError(
            f"{name}={value!r} is not understood; use 1, true, yes or on (read-only), "
            "locked (read-only, no writer login in the process), or 0, false, no, off or nothing (not read-only)."
        ) from None


@lru_cache(maxsize=1)
def twins() -> dict[str, str]:
    """Return writer alias -> twin alias; raise ConfigurationError when the setting is not such a mapping."""
    return values.pairs(*_setting("PAIRS"))


@lru_cache(maxsize=1)
def writers() -> dict[str, str]:
    """Return twin alias -> writer alias."""
    return {twin: writer for writer, twin in twins().items()}


@lru_cache(maxsize=1)
def replicas() -> frozenset[str]:
    """Return the twin aliases that read another server on purpose; ConfigurationError names what is no twin."""
    name, value = _setting("REPLICAS")
    found = values.texts(name, value)
    if strange := [alias for alias in found if alias not in writers()]:
        raise values.wrong(name, strange[0], f"twins of READONLY_ROUTER_PAIRS alone ({', '.join(writers())})")
    return frozenset(found)


def _setting(name: str) -> tuple[str, Any]:
    """Return a setting's whole name and what it holds."""
    whole = f"READONLY_ROUTER_{name}"
    return whole, getattr(settings, whole, globals()[whole])


def listen() -> bool:
    """Return whether connections LISTEN for the switch."""
    return values.truth(*_setting("LISTEN"))


def parameters() -> tuple[str, ...]:
    """Return the names of the application's own parameters, which no catalog lists."""
    return values.texts(*_setting("PARAMETERS"))


def grace() -> float:
    """Return how many seconds a busy session may go on after the switch."""
    return values.duration(*_setting("GRACE"))


def deadline() -> float:
    """Return how many seconds a drain may take before it is undone."""
    return values.duration(*_setting("DEADLINE"))


def fence() -> str:
    """Return what keeps writers out beside the mode."""
    return values.one_of(*_setting("FENCE"), FENCES)


def unsafe_methods() -> str:
    """Return what becomes of unsafe methods in read-only mode."""
    if not hasattr(settings, "READONLY_ROUTER_UNSAFE_METHODS") and _is_set(GET_ONLY_VARIABLE):
        return "as_get"
    return values.one_of(*_setting("UNSAFE_METHODS"), UNSAFE_METHODS)


def exempt() -> tuple[str, ...]:
    """Return the URL names and path patterns that are let through in read-only mode."""
    return values.texts(*_setting("EXEMPT"))


def skipped() -> tuple[str, ...]:
    """Return the dotted paths of what does nothing in read-only mode."""
    return values.texts(*_setting("SKIP"))


def session_store() -> str:
    """Return the module of the session engine that ours stands before."""
    name, found = _setting("SESSION_STORE")
    if found == OUR_SESSIONS:
        raise values.wrong(name, found, "the engine that it stands before")
    return values.module(name, found)


def visitors_are_anonymous() -> bool:
    """Return whether everybody appears signed out in read-only mode."""
    if not hasattr(settings, "READONLY_ROUTER_VISITORS") and _is_set(ANONYMOUS_VARIABLE):
        return True
    return values.one_of(*_setting("VISITORS"), VISITORS) == "anonymous"


def _is_set(variable: str, environ: Mapping[str, str] = os.environ) -> bool:
    return environ.get(variable, "").strip().lower() in {"1", "true", "yes", "on"}


def of_the_project(name: str, default: Any = None) -> Any:
    """Return a setting that is not ours; for the system checks."""
    return getattr(settings, name, default)


def retry_after() -> int:
    """Return the seconds of Retry-After without an ETA."""
    return max(1, round(values.duration(*_setting("RETRY_AFTER"))))


def primary() -> str:
    """Return the writer's alias that a request's own mode is about: `default` where it is in a pair."""
    pairs = twins()
    return "default" if "default" in pairs else next(iter(pairs))


def _forget(*, setting: str, **_: Any) -> None:
    if setting in {"READONLY_ROUTER_PAIRS", "READONLY_ROUTER_REPLICAS"}:
        for known in (twins, writers, replicas):
            known.cache_clear()


setting_changed.connect(_forget)

# What raises ConfigurationError where a setting holds something else: asked as a process starts, and by the
# checks. The pairs have a check of their own.
SETTLED = (
    *(listen, parameters, grace, deadline, fence, unsafe_methods, exempt, skipped, session_store),
    *(visitors_are_anonymous, retry_after),
)
