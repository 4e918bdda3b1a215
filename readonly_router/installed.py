"""What is ours refuses to start where its app is not installed: nothing would lead a writer to its twin."""

from __future__ import annotations

from django.apps import apps
from django.core.management.base import CommandError

from .errors import ConfigurationError

APP = "readonly_router"


class NotInstalledError(ConfigurationError, CommandError):
    """Something of this package is in use, but its app is not in INSTALLED_APPS.

    A CommandError as well, for Django prints one of those as one line, and our own `AppConfig` never runs here.
    """


def refuse_without_app(used: str) -> None:
    """Raise NotInstalledError where the app is missing; before Django knows its apps that cannot be told."""
    if apps.apps_ready and not apps.is_installed(APP):
        raise NotInstalledError(
            f"{used} is in use, but its app is not installed, so writes would not be refused; "
            f"add '{APP}' to INSTALLED_APPS."
        )
