"""Put a running Django site into read-only mode, enforced by PostgreSQL.

This package root may be imported by settings.py: it reads no settings and holds no models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .checks import pairs as _checks  # noqa: F401 - registers the system checks, also where the app is missing
from .checks import site as _site_checks  # noqa: F401 - registers the checks of the site
from .connections.asking import get_status, is_read_only
from .databases import databases_from_env
from .errors import (
    ConfigurationError,
    DrainError,
    ModeError,
    ProvisioningError,
    ReadOnlyError,
    ReadOnlyRouterError,
    SessionEndedError,
    SwitchError,
    TwinLoginError,
)
from .http.exemptions import allow_in_read_only
from .http.skipping import skip_in_read_only
from .mode import Status
from .scopes import disable_writes, enable_writes, read_only, writable
from .signals import read_only_changed
from .switch.receipt import Receipt

if TYPE_CHECKING:
    from .switch.off import switch_off
    from .switch.on import switch_on

__version__ = "0.1.0"

__all__ = [
    "ConfigurationError",
    "DrainError",
    "ModeError",
    "ProvisioningError",
    "ReadOnlyError",
    "ReadOnlyRouterError",
    "Receipt",
    "SessionEndedError",
    "Status",
    "SwitchError",
    "TwinLoginError",
    "allow_in_read_only",
    "databases_from_env",
    "disable_writes",
    "enable_writes",
    "get_status",
    "is_read_only",
    "read_only",
    "read_only_changed",
    "skip_in_read_only",
    "switch_off",
    "switch_on",
    "writable",
]


def __getattr__(name: str) -> Any:
    """Import what needs psycopg when it is asked for: settings.py imports this package before anything else."""
    if name == "switch_on":
        from .switch.on import switch_on  # noqa: PLC0415 - needs psycopg

        return switch_on
    if name == "switch_off":
        from .switch.off import switch_off  # noqa: PLC0415 - needs psycopg

        return switch_off
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
