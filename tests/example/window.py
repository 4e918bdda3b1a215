"""Settings of the example shop with all that makes a read-only window bearable."""

from tests.example.settings import *  # noqa: F403 - the shop, and what is different here
from tests.example.settings import INSTALLED_APPS, MIDDLEWARE, TEMPLATES

FIRST = "readonly_router.middleware.ReadOnlyMiddleware"
MIDDLEWARE = [FIRST, *(name for name in MIDDLEWARE if name != FIRST)]
INSTALLED_APPS = [
    "readonly_router.admin.ReadOnlyAdminConfig" if name == "django.contrib.admin" else name
    for name in INSTALLED_APPS
]
TEMPLATES[0]["OPTIONS"]["context_processors"].append("readonly_router.context_processors.read_only")  # type: ignore[index]

ROOT_URLCONF = "tests.example.window_urls"
SESSION_ENGINE = "readonly_router.sessions"
READONLY_ROUTER_SESSION_STORE = "django.contrib.sessions.backends.db"
# A page of the shop that counts its views while it is read.
READONLY_ROUTER_SKIP = ["tests.example.shop.views.count_view"]
