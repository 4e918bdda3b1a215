"""Settings of the Wagtail site with all that makes a read-only window bearable."""

import os
from pathlib import Path

from tests.wagtail.settings import *  # noqa: F403 - the site, and what is different here
from tests.wagtail.settings import INSTALLED_APPS, MIDDLEWARE, TEMPLATES

MIDDLEWARE = ["readonly_router.middleware.ReadOnlyMiddleware", *MIDDLEWARE]
INSTALLED_APPS = [
    "readonly_router.admin.ReadOnlyAdminConfig" if name == "django.contrib.admin" else name
    for name in INSTALLED_APPS
]
# A base template with the banner stands before the site's own.
TEMPLATES[0]["DIRS"] = [Path(__file__).parent / "templates"]
ROOT_URLCONF = "tests.browser.tea_urls"
SESSION_ENGINE = "readonly_router.sessions"
READONLY_ROUTER_GRACE = "200ms"
# Wagtail notes in a row who has a page open to edit it.
READONLY_ROUTER_SKIP = ["wagtail.admin.views.pages.edit.EditView.get_editing_sessions"]
MEDIA_ROOT = os.environ.get("TEA_MEDIA", "")
