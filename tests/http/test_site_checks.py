"""The system checks of the site around the mode."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.test import override_settings

from readonly_router.checks.site import MIDDLEWARE, SESSIONS, check_site
from tests.database import entry

CACHES = "django.core.cache.backends."
WELL: dict[str, Any] = {"MIDDLEWARE": [MIDDLEWARE, "other"], "SESSION_ENGINE": SESSIONS, "CACHES": {}}


def found_with_hints(**settings: Any) -> list[str]:
    with override_settings(**{**WELL, **settings}):
        messages = check_site()
    assert all(message.hint for message in messages)
    return [message.id.removeprefix("readonly_router.") for message in messages]


def test_a_site_where_all_is_well_hears_nothing() -> None:
    assert found_with_hints() == []


@pytest.mark.parametrize(
    ("settings", "number"),
    [
        ({"MIDDLEWARE": ["other"]}, "W015"),
        ({"MIDDLEWARE": ["other", MIDDLEWARE]}, "W016"),
        ({"SESSION_ENGINE": "django.contrib.sessions.backends.db"}, "W017"),
        ({"SESSION_ENGINE": "django.contrib.sessions.backends.cached_db"}, "W017"),
        ({"SESSION_SAVE_EVERY_REQUEST": True}, "W018"),
        ({"CACHES": {"default": {"BACKEND": f"{CACHES}db.DatabaseCache"}}}, "W019"),
        ({"CACHES": {"default": {"BACKEND": f"{CACHES}locmem.LocMemCache"}}}, "W030"),
        ({"CACHES": {"default": {"BACKEND": f"{CACHES}dummy.DummyCache"}}}, "W030"),
        ({"CELERY_RESULT_BACKEND": "db+postgresql://..."}, "W027"),
        ({"READONLY_ROUTER_UNSAFE_METHODS": "perhaps"}, "E029"),
        ({"READONLY_ROUTER_VISITORS": "robots"}, "E029"),
    ],
)
def test_a_setting_that_fails_pages_is_told(settings: dict[str, Any], number: str) -> None:
    assert found_with_hints(**settings) == [number]


@pytest.mark.parametrize(
    "settings",
    [
        {"CACHES": {"default": {"BACKEND": f"{CACHES}redis.RedisCache"}}},
        {"CACHES": {"default": {"BACKEND": f"{CACHES}memcached.PyMemcacheCache"}}},
        # Other caches, and other sessions, do not ask who signed out.
        {
            "CACHES": {
                "default": {"BACKEND": f"{CACHES}redis.RedisCache"},
                "other": {"BACKEND": f"{CACHES}locmem.LocMemCache"},
            }
        },
        {
            "CACHES": {"default": {"BACKEND": f"{CACHES}locmem.LocMemCache"}},
            "SESSION_ENGINE": "django.contrib.sessions.backends.cache",
        },
    ],
)
def test_a_cache_that_all_processes_share_is_well(settings: dict[str, Any]) -> None:
    assert found_with_hints(**settings) == []


def test_attempts_in_atomic_requests_are_told() -> None:
    with entry("default", ATOMIC_REQUESTS=True):
        assert found_with_hints(READONLY_ROUTER_UNSAFE_METHODS="attempt") == ["W028"]


@pytest.mark.parametrize(
    ("app", "settings", "numbers"),
    [
        ("constance.backends.database", {}, ["W024"]),
        ("waffle", {}, []),
        ("waffle", {"WAFFLE_CREATE_MISSING_FLAGS": True}, ["W025"]),
        ("django_celery_beat", {}, ["W026"]),
        ("django_celery_results", {}, ["W027"]),
    ],
)
def test_a_package_that_writes_is_told(
    app: str, settings: dict[str, Any], numbers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = apps.is_installed
    monkeypatch.setattr(apps, "is_installed", lambda name: name == app or plain(name))

    assert found_with_hints(**settings) == numbers


def test_a_site_without_sessions_hears_nothing_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "is_installed", lambda name: False)

    assert found_with_hints(SESSION_ENGINE="django.contrib.sessions.backends.db") == []
