"""The example site as a fleet runs it: its sessions stay open, and a refused write is a page of its own."""

import copy

from tests.example.settings import *  # noqa: F403 - the same site
from tests.example.settings import DATABASES as EXAMPLE_DATABASES
from tests.example.settings import MIDDLEWARE as EXAMPLE_MIDDLEWARE

DATABASES = copy.deepcopy(EXAMPLE_DATABASES)
for _database in DATABASES.values():
    _database["CONN_MAX_AGE"] = 60

MIDDLEWARE = [*EXAMPLE_MIDDLEWARE, "tests.demo.unavailable.Unavailable"]
