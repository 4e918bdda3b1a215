"""What carries the switch in PostgreSQL: one setting of the writer's role, one channel, one lock and one table."""

from __future__ import annotations

from itertools import product

# https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-DEFAULT-TRANSACTION-READ-ONLY
SETTING = "default_transaction_read_only"
# A boolean is stored in pg_db_role_setting as it was spelt. Nobody spells it so: it tells the switch's own
# setting from one that a DBA made, and each `on` from the one before. (A setting with a name of our own would need
# a superuser.)
_TYPED = {"true", "True", "TRUE"}
MARKS = tuple(mark for mark in map("".join, product("tT", "rR", "uU", "eE")) if mark not in _TYPED)
MARKED = [f"{SETTING}={mark}" for mark in MARKS]


def after(mark: str | None) -> str:
    """Return the mark of the `on` after one of that mark, in turn; the first where that is none of ours."""
    return MARKS[(MARKS.index(mark) + 1) % len(MARKS)] if mark in MARKS else MARKS[0]


CHANNEL = "readonly_router"
EVENTS = "readonly_router_event"

# The command's own lock: one switch at a time in a database.
SWITCH_LOCK = "readonly_router:switch"
# Shared by each session that writes through the switch (`writable()`), so that a drain sees them.
WRITABLE_LOCK = "readonly_router:writable"
# The application_name of the command's own sessions.
APPLICATION = "read_only"
