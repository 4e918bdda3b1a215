"""What carries the switch in PostgreSQL: one setting of the writer's role, one channel, one lock and one table."""

from __future__ import annotations

# https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-DEFAULT-TRANSACTION-READ-ONLY
SETTING = "default_transaction_read_only"
# A boolean is stored in pg_db_role_setting as it was spelt. Nobody spells it so: it tells the switch's own
# setting from one that a DBA made. (A setting with a name of our own would need a superuser.)
MARK = "tRUE"
MARKED = f"{SETTING}={MARK}"

CHANNEL = "readonly_router"
EVENTS = "readonly_router_event"

# The command's own lock: one switch at a time in a database.
SWITCH_LOCK = "readonly_router:switch"
# Shared by each session that writes through the switch (`writable()`), so that a drain sees them.
WRITABLE_LOCK = "readonly_router:writable"
# The application_name of the command's own sessions.
APPLICATION = "read_only"
