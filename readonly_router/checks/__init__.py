"""Django's system checks: of the pairs and their logins, and of the site around them.

They are registered as settings.py imports the package, so that a project which forgot the app hears of it; what
they stand on is imported as they run.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from django.core.checks import CheckMessage, Tags, register

_OF_SETTINGS = (("pairs", "check_settings"), ("pairs", "check_skipped"), ("site", "check_site"))


@register(Tags.compatibility)
def check_settings(**asked: Any) -> list[CheckMessage]:
    """Check what settings alone tell; connects to nothing."""
    return [message for module, name in _OF_SETTINGS for message in _check(module, name)(**asked)]


@register(Tags.database)
def check_twins(*, databases: Iterable[str] | None = None, **asked: Any) -> list[CheckMessage]:
    """Check the twins of the databases asked for, logged in as each."""
    found: list[CheckMessage] = _check("pairs", "check_twins")(databases=databases, **asked)
    return found


def _check(module: str, name: str) -> Any:
    return getattr(import_module(f"{__name__}.{module}"), name)
