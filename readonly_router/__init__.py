"""Put a running Django site into read-only mode, enforced by PostgreSQL.

This package root may be imported by settings.py: it reads no settings and holds no models.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import checks as _checks  # noqa: F401 - registers the system checks, also where the app is missing
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

if TYPE_CHECKING:
    from .connections.asking import get_status, is_read_only
    from .http.exemptions import allow_in_read_only
    from .http.skipping import skip_in_read_only
    from .mode import Status
    from .scopes import disable_writes, enable_writes, read_only, writable
    from .signals import read_only_changed
    from .switch.off import switch_off
    from .switch.on import switch_on
    from .switch.receipt import Receipt

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


# What needs psycopg, and more of Django than there is yet as settings.py imports this package.
_LATER = {
    "Receipt": "switch.receipt",
    "Status": "mode",
    "allow_in_read_only": "http.exemptions",
    "get_status": "connections.asking",
    "is_read_only": "connections.asking",
    "read_only_changed": "signals",
    "skip_in_read_only": "http.skipping",
    "switch_off": "switch.off",
    "switch_on": "switch.on",
    **dict.fromkeys(("disable_writes", "enable_writes", "read_only", "writable"), "scopes"),
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
    return found
