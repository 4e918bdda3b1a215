"""The example site as a fleet runs it: sessions that stay open, and a middleware that keeps a request's mode."""

import copy

from tests.example.settings import *  # noqa: F403 - the same site
from tests.example.settings import DATABASES as EXAMPLE_DATABASES
from tests.example.settings import MIDDLEWARE as EXAMPLE_MIDDLEWARE

DATABASES = copy.deepcopy(EXAMPLE_DATABASES)
for _database in DATABASES.values():
    _database["CONN_MAX_AGE"] = 60

_PINS = "readonly_router.middleware.ReadOnlyMiddleware"
MIDDLEWARE = [
    _PINS,
    "tests.demo.unavailable.Unavailable",
    *(name for name in EXAMPLE_MIDDLEWARE if name != _PINS),
]
