"""The example site as each kind of client runs it: LEDGER_KIND says how its connections live."""

import os

from tests.example.settings import *  # noqa: F403 - the example's settings, but for what follows
from tests.example.settings import DATABASES

KIND = os.environ.get("LEDGER_KIND", "persistent")
# A client outlives each cut of its network, and not the end of it (milliseconds, and seconds).
TIMEOUTS = {
    "connect_timeout": 10,
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}

for _database in DATABASES.values():
    _database["CONN_MAX_AGE"] = None if KIND in ("persistent", "pgbouncer") else 0
    # As its users are told to; server-side cursors do not outlive a statement there.
    _database["DISABLE_SERVER_SIDE_CURSORS"] = KIND == "pgbouncer"
    _database["OPTIONS"] = {**_database.get("OPTIONS", {}), **TIMEOUTS}
    if KIND == "pool":
        _database["OPTIONS"]["pool"] = {"min_size": 0, "max_size": 4, "timeout": 10}
