"""The example site with what closes it (BENCH_VARIANT): us, or django-maintenance-mode by a file or by a cache."""

import copy
import os

from tests.bench import OURS
from tests.example.settings import *  # noqa: F403 - the same site
from tests.example.settings import CACHES, INSTALLED_APPS, MIDDLEWARE
from tests.example.settings import DATABASES as EXAMPLE_DATABASES

VARIANT = os.environ.get("BENCH_VARIANT", OURS)

ROOT_URLCONF = "tests.bench.shop_urls"
MIDDLEWARE = ["tests.bench.pages.signed", *MIDDLEWARE]
DATABASES = copy.deepcopy(EXAMPLE_DATABASES)
for _database in DATABASES.values():
    _database["CONN_MAX_AGE"] = 60

if VARIANT != OURS:
    DATABASES = {"default": DATABASES["default"]}
    DATABASE_ROUTERS: list[str] = []
    INSTALLED_APPS = ["maintenance_mode", *(name for name in INSTALLED_APPS if name != "readonly_router")]
    MIDDLEWARE = [
        *(name for name in MIDDLEWARE if not name.startswith("readonly_router.")),
        "maintenance_mode.middleware.MaintenanceModeMiddleware",
    ]
    MAINTENANCE_MODE_RESPONSE_TYPE = "json"
    MAINTENANCE_MODE_STATE_FILE_PATH = os.environ["BENCH_FILE"]
    if VARIANT.endswith("cache"):
        MAINTENANCE_MODE_STATE_BACKEND = "maintenance_mode.backends.CacheBackend"
        # Django's default cache is a process's own; of the shared ones this needs no further server.
        CACHES = {**CACHES, "maintenance_mode": CACHES["db"]}
