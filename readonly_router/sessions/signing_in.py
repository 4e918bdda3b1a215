"""Signing in while read-only: what Django writes on the way is skipped, not failed."""

from __future__ import annotations

import functools

from django.apps import apps

from ..http import skipping
from ..http.request_mode import is_read_only
from . import plain

_MARK = "keeps_hashes_while_read_only"


def install() -> None:
    """Let users sign in while the site is read-only: no last_login, no upgraded password hash. Idempotent."""
    if apps.is_installed("django.contrib.auth"):
        from django.contrib.auth.signals import user_logged_in  # noqa: PLC0415 - where it is installed

        skipping.install(["django.contrib.auth.models.update_last_login"])
        user_logged_in.connect(plain.refuse_lost_sign_in, dispatch_uid="readonly_router")
        _keep_hashes()
    if apps.is_installed("django.contrib.sessions"):
        plain.install()


def _keep_hashes() -> None:
    """Check passwords without upgrading their hashes: the upgrade is an UPDATE of the user, within the check.

    Where both of Django's checks learn that an upgrade is due, whoever imported them by name.
    """
    from django.contrib.auth import hashers  # noqa: PLC0415 - where it is installed

    plain = hashers.verify_password
    if hasattr(plain, _MARK):
        return

    @functools.wraps(plain)
    def verified(password: str | None, encoded: str, preferred: str = "default") -> tuple[bool, bool]:
        correct, due = plain(password, encoded, preferred)
        return correct, due and not is_read_only()

    setattr(verified, _MARK, True)
    hashers.verify_password = verified
