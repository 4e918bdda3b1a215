"""The example site with all that makes its window bearable, its connections kept, and what it is compared with."""

import importlib.util

from tests.example.window import *  # noqa: F403 - the same site
from tests.example.window import DATABASES, INSTALLED_APPS

for _database in DATABASES.values():
    _database["CONN_MAX_AGE"] = None

# At hand, and in use only where the bench puts its middleware into a handler.
if importlib.util.find_spec("maintenance_mode"):
    INSTALLED_APPS = [*INSTALLED_APPS, "maintenance_mode"]
    MAINTENANCE_MODE_STATE_BACKEND = "maintenance_mode.backends.CacheBackend"

ROOT_URLCONF = "tests.bench.visit_urls"
