"""Settings of the example shop for the tests of its operators: a window, odd admins, a migrations page."""

import os

from tests.example.window import *  # noqa: F403 - the shop, and what is different here
from tests.example.window import DATABASES, INSTALLED_APPS

ROOT_URLCONF = os.environ.get("OPERATORS_URLS", "tests.http.operators_urls")
INSTALLED_APPS = [*INSTALLED_APPS, "tests.http.warehouse"]
if os.environ.get("OPERATORS_ADMIN") == "django":
    INSTALLED_APPS[INSTALLED_APPS.index("readonly_router.admin.ReadOnlyAdminConfig")] = "django.contrib.admin"
SESSION_ENGINE = os.environ.get("OPERATORS_SESSIONS", "readonly_router.sessions")
READONLY_ROUTER_GRACE = "200ms"
READONLY_ROUTER_VISITORS = os.environ.get("OPERATORS_VISITORS", "signed_in")
READONLY_ROUTER_UNSAFE_METHODS = os.environ.get("OPERATORS_UNSAFE", "refuse")
if os.environ.get("OPERATORS_ATOMIC") == "1":
    DATABASES["default"]["ATOMIC_REQUESTS"] = True
if os.environ.get("EXAMPLE_POOL") != "1":
    DATABASES["default"]["CONN_MAX_AGE"] = 600
