"""Put a running Django site into read-only mode, enforced by PostgreSQL.

This package root may be imported by settings.py: it reads no settings and holds no models.
"""

from __future__ import annotations

from . import checks as _checks  # noqa: F401 - registers the system checks, also where the app is missing
from .connections import get_status, is_read_only
from .databases import databases_from_env
from .errors import ConfigurationError, ModeError, ProvisioningError, ReadOnlyError, ReadOnlyRouterError
from .mode import Status
from .scopes import disable_writes, enable_writes, read_only, writable

__version__ = "0.1.0"

__all__ = [
    "ConfigurationError",
    "ModeError",
    "ProvisioningError",
    "ReadOnlyError",
    "ReadOnlyRouterError",
    "Status",
    "databases_from_env",
    "disable_writes",
    "enable_writes",
    "get_status",
    "is_read_only",
    "read_only",
    "writable",
]
