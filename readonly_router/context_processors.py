"""`read_only` in every template."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from .http.window import window


def read_only(_request: HttpRequest) -> dict[str, Any]:
    """Return `read_only`: true while the site is, with `reason`, `since`, `eta` and `retry_after`."""
    return {"read_only": window()}
