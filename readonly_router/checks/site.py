"""System checks of the site around the mode: middleware, sessions, caches, packages that write on each page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.db import connections

from .. import conf, values
from ..errors import ConfigurationError
from ..http import skipping
from ..http.exemptions import check_patterns

MIDDLEWARE = "readonly_router.middleware.ReadOnlyMiddleware"
SESSIONS = conf.OUR_SESSIONS
_UNSHARED_CACHES = (".LocMemCache", ".DummyCache")
_WRITING_SESSIONS = ("django.contrib.sessions.backends.db", "django.contrib.sessions.backends.cached_db")


# What raises ConfigurationError where a setting is not understood: better as a process starts than in the window.
SETTLED = (*conf.SETTLED, check_patterns)


def check_site(**_: Any) -> list[CheckMessage]:
    """Check what settings tell of the pages that would fail while read-only; connects to nothing."""
    if found := list(_check_values()):
        return found  # to be mended first
    return [
        *_check_middleware(),
        *_check_sessions(),
        *_check_caches(),
        *_check_packages(),
        *_check_celery(),
        *_check_requests(),
        *_check_skipped(),
    ]


def _check_values() -> Iterator[CheckMessage]:
    for says in wrong_values():
        yield _error(29, says, "Correct the setting, or remove it.")


def wrong_values() -> list[str]:
    """Return what is wrong with the settings, each once."""
    return list(dict.fromkeys(filter(None, map(_wrong, SETTLED))))


def _wrong(ask: Callable[[], object]) -> str:
    try:
        ask()
    except ConfigurationError as error:
        return str(error)
    return ""


def _check_middleware() -> Iterator[CheckMessage]:
    listed = list(conf.of_the_project("MIDDLEWARE", ()))
    if MIDDLEWARE not in listed:
        yield _warning(
            15,
            "MIDDLEWARE lacks the read-only middleware: a refused write is a 500, and requests in flight are cut.",
            f"Put '{MIDDLEWARE}' first in MIDDLEWARE.",
        )
    elif listed[0] != MIDDLEWARE:
        yield _warning(
            16,
            f"{listed[0]} stands before the read-only middleware, which does not see what it writes.",
            f"Put '{MIDDLEWARE}' first in MIDDLEWARE.",
        )


def _check_sessions() -> Iterator[CheckMessage]:
    if not apps.is_installed("django.contrib.sessions"):
        return
    if (engine := conf.of_the_project("SESSION_ENGINE")) in _WRITING_SESSIONS:
        yield _warning(
            17,
            f"Sessions of {engine} cannot be written while read-only: nobody can sign in.",
            f"Set SESSION_ENGINE = '{SESSIONS}' and READONLY_ROUTER_SESSION_STORE = '{engine}'"
            " (the latter's default is database sessions).",
        )
    if engine == SESSIONS and (says := _no_engine(store := conf.session_store())):
        allowed = f"the module of a session engine; this is none ({says})"
        yield _error(
            29, str(values.wrong("READONLY_ROUTER_SESSION_STORE", store, allowed)), "Correct the setting."
        )
    if conf.of_the_project("SESSION_SAVE_EVERY_REQUEST"):
        yield _warning(
            18,
            "SESSION_SAVE_EVERY_REQUEST makes every page of a signed-in visitor a write.",
            "Set SESSION_SAVE_EVERY_REQUEST = False, or keep sessions in a cache.",
        )
    if engine == SESSIONS and _backend("default").endswith(_UNSHARED_CACHES):
        yield _warning(
            30,
            "CACHES['default'] is each process's own, or keeps nothing: of who signs out while read-only no other "
            "process hears, so a copy of the cookie still works.",
            "Use a cache that all processes share, such as Redis or Memcached, as CACHES['default'].",
        )


def _no_engine(module: str) -> str:
    try:
        import_module(module).SessionStore  # noqa: B018 - asked for, not used
    except (ImportError, AttributeError) as error:
        return str(error)
    return ""


def _backend(alias: str) -> str:
    return str(conf.of_the_project("CACHES", {}).get(alias, {}).get("BACKEND", ""))


def _check_caches() -> Iterator[CheckMessage]:
    for alias, entry in conf.of_the_project("CACHES", {}).items():
        if entry.get("BACKEND", "").endswith(".DatabaseCache"):
            yield _warning(
                19,
                f"CACHES['{alias}'] is in the database: what it should keep is dropped while read-only, and "
                "reading an expired entry is a refused DELETE.",
                "Use a cache outside the database, such as Redis or Memcached.",
            )


_DATABASE_PACKAGES = {
    "constance.backends.database": (
        24,
        "django-constance keeps its values in the database: the first read of a value is an INSERT.",
        "Read every value once before the window, or set CONSTANCE_BACKEND to its Redis backend.",
    ),
    "waffle": (
        25,
        "django-waffle may create a missing flag, switch or sample when it is read.",
        "Set WAFFLE_CREATE_MISSING_FLAGS, _SWITCHES and _SAMPLES to False.",
    ),
    "django_celery_beat": (
        26,
        "celery beat's database scheduler writes at every tick, and stops at the first refusal.",
        "Stop beat for the window, or use the file scheduler (celery beat -S celery.beat.PersistentScheduler).",
    ),
    "django_celery_results": (
        27,
        "Celery's results are kept in the database, so finished tasks cannot store theirs while read-only.",
        "Set CELERY_RESULT_BACKEND to a store outside the database, or stop the workers for the window.",
    ),
}


def _check_packages() -> Iterator[CheckMessage]:
    for name, (number, says, hint) in _DATABASE_PACKAGES.items():
        if apps.is_installed(name) and _writes(name):
            yield _warning(number, says, hint)


def _writes(name: str) -> bool:
    if name != "waffle":
        return True
    return any(
        conf.of_the_project(f"WAFFLE_CREATE_MISSING_{kind}", False) for kind in ("FLAGS", "SWITCHES", "SAMPLES")
    )


def _check_celery() -> Iterator[CheckMessage]:
    backend = str(conf.of_the_project("CELERY_RESULT_BACKEND") or "")
    if backend.startswith("db+") and not apps.is_installed("django_celery_results"):
        _, says, hint = _DATABASE_PACKAGES["django_celery_results"]
        yield _warning(27, says, hint)


def _check_requests() -> Iterator[CheckMessage]:
    for alias in _writers():
        if connections.settings.get(alias, {}).get("ATOMIC_REQUESTS") and conf.unsafe_methods() == "attempt":
            yield _warning(
                28,
                f"ATOMIC_REQUESTS on '{alias}' with READONLY_ROUTER_UNSAFE_METHODS = 'attempt': what a view does "
                "outside the database before its first refused write is done.",
                "Use 'refuse', and exempt the views that only read.",
            )


def _check_skipped() -> Iterator[CheckMessage]:
    for says in skipping.not_allowed():
        yield _error(31, says, "manage.py read_only refusals prints paths that may be skipped.")
    for says in skipping.too_late():
        yield _warning(33, says, "Receivers of signals are skipped all the same.")


def _writers() -> Iterable[str]:
    try:
        return conf.twins()
    except ConfigurationError:  # E001
        return ()


def _error(number: int, message: str, hint: str) -> CheckMessage:
    return Error(message, hint=hint, id=f"readonly_router.E{number:03}")


def _warning(number: int, message: str, hint: str) -> CheckMessage:
    return CheckWarning(message, hint=hint, id=f"readonly_router.W{number:03}")
