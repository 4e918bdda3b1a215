"""Signing in while read-only: what Django writes on the way is skipped, not failed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.apps import apps

from . import plain_sessions, skipping
from .request_mode import is_read_only


def install() -> None:
    """Let users sign in while the site is read-only: no last_login, no upgraded password hash. Idempotent."""
    if apps.is_installed("django.contrib.auth"):
        skipping.install(["django.contrib.auth.models.update_last_login"])
        _keep_hashes()
    if apps.is_installed("django.contrib.sessions"):
        plain_sessions.install()


def _keep_hashes() -> None:
    """Check passwords without upgrading their hashes: the upgrade is an UPDATE of the user, within the check."""
    from django.contrib.auth import base_user, hashers  # noqa: PLC0415 - after the apps are loaded

    for name, decorate in (("check_password", _without_upgrade), ("acheck_password", _without_upgrade_async)):
        plain = getattr(hashers, name)
        if getattr(base_user, name) is plain:
            setattr(base_user, name, functools.wraps(plain)(decorate(plain)))


def _without_upgrade(check: Callable[..., bool]) -> Callable[..., bool]:
    def checked(password: str | None, encoded: str, setter: Any = None, preferred: str = "default") -> bool:
        return check(password, encoded, None if is_read_only() else setter, preferred)

    return checked


def _without_upgrade_async(check: Callable[..., Any]) -> Callable[..., Any]:
    async def checked(password: str | None, encoded: str, setter: Any = None, preferred: str = "default") -> bool:
        return bool(await check(password, encoded, None if is_read_only() else setter, preferred))

    return checked
