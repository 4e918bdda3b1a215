"""A primary and its standby, and how far the one has followed the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.embedded import embedded_server
from tests.harness.pairs import wait_for


@dataclass(frozen=True, kw_only=True)
class Servers:
    """The superuser's URLs of a primary and of its standby."""

    primary: str
    standby: str

    def ask(self, query: str, *values: Any, on_standby: bool = False) -> Any:
        with psycopg.connect(self.standby if on_standby else self.primary, autocommit=True) as connection:
            return (connection.execute(query.encode(), values).fetchone() or (None,))[0]

    def catch_up(self) -> None:
        """Wait until the standby has replayed what the primary wrote so far."""
        lsn = self.ask("SELECT pg_current_wal_flush_lsn()::text")
        wait_for(lambda: self.ask("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", lsn, on_standby=True))

    @contextmanager
    def standby_behind(self) -> Iterator[None]:
        """Hold the standby where it is for the length of the block."""
        self.ask("SELECT pg_wal_replay_pause()", on_standby=True)
        try:
            wait_for(lambda: self.ask("SELECT pg_get_wal_replay_pause_state()", on_standby=True) == "paused")
            yield
        finally:
            self.ask("SELECT pg_wal_replay_resume()", on_standby=True)

    def promote(self) -> None:
        """Make the standby a primary of its own; it has replayed all that the primary wrote."""
        self.catch_up()
        assert self.ask("SELECT pg_promote()", on_standby=True)


@contextmanager
def own_servers(programs: Path | None = None) -> Iterator[Servers]:
    """Run a primary and a standby, of the wheel's programs or of others."""
    with (
        embedded_server(binaries=programs) as primary,
        embedded_server(binaries=programs, primary=primary) as standby,
    ):
        yield Servers(primary=primary, standby=standby)
