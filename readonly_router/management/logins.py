"""The login of an operator that may do more than the site's own."""

from __future__ import annotations

import os
from typing import Any

from ..databases import parse_url
from ..near_names import refuse_near_names

ADMIN_URL = "DATABASE_ADMIN_URL"


def admin(url: str | None) -> dict[str, Any] | None:
    """Return the DATABASES entry of --admin-url, else of the environment, which ps does not show."""
    if url is not None:
        return parse_url({"--admin-url": url}, "--admin-url")
    refuse_near_names(ADMIN_URL, os.environ)
    return parse_url(os.environ, ADMIN_URL) if os.environ.get(ADMIN_URL) else None
