"""The example site as a fleet runs it: its sessions stay open."""

import copy

from tests.example.settings import *  # noqa: F403 - the same site
from tests.example.settings import DATABASES as EXAMPLE_DATABASES

DATABASES = copy.deepcopy(EXAMPLE_DATABASES)
for _database in DATABASES.values():
    _database["CONN_MAX_AGE"] = 60
