"""`DATABASES` with a writer and its twin, read from the environment's URLs."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from typing import Any

import dj_database_url

from .conf import ProcessMode, process_mode
from .errors import ConfigurationError
from .escaping import is_text
from .near_names import refuse_near_names

URL, TWIN_URL, TWIN_PASSWORD = "DATABASE_URL", "DATABASE_READONLY_URL", "DB_READONLY_PASSWORD"
TWIN_SUFFIX = "_readonly"
# NAMEDATALEN - 1: https://www.postgresql.org/docs/current/limits.html
MAX_NAME_BYTES = 63

Settings = dict[str, Any]


def databases_from_env(
    *,
    writer: str = "default",
    twin: str = "readonly",
    environ: Mapping[str, str] | None = None,
    **options: Any,
) -> dict[str, Settings]:
    """Return `DATABASES` for settings.py: the writer from `DATABASE_URL` and its twin.

    The twin comes from `DATABASE_READONLY_URL`, or is the writer's server with the user `<user>_readonly` and
    the password in `DB_READONLY_PASSWORD`. `options` go to `dj_database_url.parse` for both (conn_max_age,
    conn_health_checks, ssl_require, ...). With `DB_READ_ONLY=locked` both aliases hold the twin's login.
    Raises ConfigurationError naming the variable; no message holds a URL or a password.
    """
    environ = os.environ if environ is None else environ
    locked = process_mode(environ) is ProcessMode.LOCKED
    twin_settings = _twin_settings(environ, options)
    writer_settings = copy.deepcopy(twin_settings) if locked else parse_url(environ, URL, **options)
    mirror = {**twin_settings.get("TEST", {}), "MIRROR": writer}
    return {writer: writer_settings, twin: {**twin_settings, "TEST": mirror}}


def parse_url(environ: Mapping[str, str], variable: str, **options: Any) -> Settings:
    """Return the settings in a URL variable; raise ConfigurationError naming the variable, never its content."""
    url = environ.get(variable, "").strip()
    form = f"{variable} must be postgres://USER:PASSWORD@HOST:PORT/NAME"
    if not url:
        raise ConfigurationError(f"{variable} is not set. {form}.")
    try:
        parsed: Settings = dict(dj_database_url.parse(url, **options))
    except ValueError:
        # From None: the original error may quote the URL, and the URL holds the password.
        raise ConfigurationError(
            f"{variable} is not a database URL. {form}, special characters percent-encoded."
        ) from None
    if not all(map(is_text, _texts(parsed))):
        raise ConfigurationError(f"{variable} holds bytes that are no text in UTF-8. {form}.")
    if not parsed.get("NAME"):
        raise ConfigurationError(f"{variable} names no database. {form}.")
    return parsed


def _texts(value: object) -> Iterator[str]:
    """Return every text in the settings of a database."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in (*value, *value.values()):
            yield from _texts(each)


def _twin_settings(environ: Mapping[str, str], options: Mapping[str, Any]) -> Settings:
    for name in (TWIN_URL, TWIN_PASSWORD):
        refuse_near_names(name, environ)
    if environ.get(TWIN_URL, "").strip():
        return parse_url(environ, TWIN_URL, **options)
    password = environ.get(TWIN_PASSWORD, "")
    if not is_text(password):
        raise ConfigurationError(f"{TWIN_PASSWORD} holds bytes that are no text in UTF-8; give it another value.")
    settings = parse_url(environ, URL, **options)
    user = f"{settings.get('USER', '')}{TWIN_SUFFIX}"
    if user == TWIN_SUFFIX:
        raise ConfigurationError(f"{URL} names no user to derive the read-only one from; set {TWIN_URL}.")
    if len(user.encode()) > MAX_NAME_BYTES:
        raise ConfigurationError(
            f"The role name {user!r} is longer than PostgreSQL's {MAX_NAME_BYTES} bytes; set {TWIN_URL}."
        )
    # SET ROLE to the writer's owner would undo the twin.
    settings_options = {key: value for key, value in settings.get("OPTIONS", {}).items() if key != "assume_role"}
    return {
        **settings,
        "USER": user,
        "PASSWORD": password,
        **({"OPTIONS": settings_options} if "OPTIONS" in settings else {}),
    }
