"""Sessions while read-only: the engine to name as SESSION_ENGINE, and signing in and out under any other."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Return the engine when it is asked for: settings.py may import this package, and says what it stands on."""
    if name == "SessionStore":
        from .. import conf  # noqa: PLC0415 - it reads settings
        from ..installed import refuse_without_app  # noqa: PLC0415 - it reads settings
        from .cookies import over  # noqa: PLC0415 - it reads settings

        refuse_without_app(__name__)
        return over(conf.session_store())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
