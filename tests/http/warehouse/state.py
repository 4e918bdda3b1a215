"""The warehouse's migrations: taken back, put back, and looked at, past Django."""

from __future__ import annotations

from typing import Any

from tests.site import Site

INITIAL, PLACE, SHELF, AGAIN, MEDDLING = (
    f"warehouse.{name}"
    for name in ("0001_initial", "0002_place", "0003_first_shelf", "0004_place", "0005_meddling")
)
EVERY = [PLACE, SHELF, AGAIN, MEDDLING]
END_WAITING = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'"""
APPLIED = "SELECT 'warehouse.' || name FROM django_migrations WHERE app = 'warehouse' ORDER BY id"


def take_back(made: Site) -> None:
    """Put the database where the warehouse's first migration left it."""
    made.superuser.execute("TRUNCATE warehouse_stop, warehouse_meddled, warehouse_shelf CASCADE")
    made.superuser.execute("ALTER TABLE warehouse_shelf DROP COLUMN IF EXISTS place")
    for name in EVERY:
        forget(made, name)


def forget(made: Site, name: str) -> None:
    query = "DELETE FROM django_migrations WHERE app = 'warehouse' AND name = %s"
    made.superuser.execute(query, [name.partition(".")[2]])


def remember(made: Site, name: str) -> None:
    query = "INSERT INTO django_migrations (app, name, applied) VALUES ('warehouse', %s, now())"
    made.superuser.execute(query, [name.partition(".")[2]])


def applied(made: Site) -> list[str]:
    return [row[0] for row in made.superuser.execute(APPLIED)]


def shelves(made: Site) -> list[str]:
    return [row[0] for row in made.superuser.execute("SELECT name FROM warehouse_shelf ORDER BY id")]


def event(made: Site) -> Any:
    """Return operator and details of the last run."""
    query = 'SELECT "by", details FROM readonly_router_event WHERE kind = %s ORDER BY id DESC LIMIT 1'
    return made.superuser.execute(query, ["migrate"]).fetchone()


def put_back(made: Site) -> None:
    """Put the database where all of its migrations leave it."""
    if applied(made) == [INITIAL, *EVERY]:
        return
    made.superuser.execute("ALTER TABLE warehouse_shelf ADD COLUMN IF NOT EXISTS place varchar(40) NOT NULL")
    for name in EVERY:
        forget(made, name)
        remember(made, name)
