"""A database put back as it was: quicker than emptying and filling it for every test."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

_TABLES = """SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY c.oid"""
_SEQUENCES = """SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences ORDER BY 1"""
# Every write but a prefetched nextval takes a transaction id; pg_sequences shows that one.
_MARK = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"


class Snapshot:
    """The rows and sequence values of a database, read once and put back after each change."""

    def __init__(self, superuser: psycopg.Connection[Any]) -> None:
        self.superuser = superuser
        self.tables = [sql.Identifier(*row) for row in superuser.execute(_TABLES).fetchall()]
        self.rows = [self._copy_out(table) for table in self.tables]
        self.sequences = self._sequences()
        self.mark = self._mark()

    def restore(self) -> None:
        """Put everything back, if anything was written since."""
        if self._mark() == self.mark and self._sequences() == self.sequences:
            return
        with self.superuser.transaction():
            # No triggers and no foreign keys meanwhile.
            self.superuser.execute("SET LOCAL session_replication_role = replica")
            self.superuser.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(self.tables)))
            for table, rows in zip(self.tables, self.rows, strict=True):
                if rows:
                    self._copy_in(table, rows)
            for name, value in self.sequences:
                self.superuser.execute("SELECT setval(%s, coalesce(%s, 1), %s)", [name, value, value is not None])
        self.mark = self._mark()

    def _copy_out(self, table: sql.Identifier) -> bytes:
        with self.superuser.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(table)) as copy:
            return b"".join(bytes(block) for block in copy)

    def _copy_in(self, table: sql.Identifier, rows: bytes) -> None:
        with self.superuser.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
            copy.write(rows)

    def _sequences(self) -> list[tuple[str, int | None]]:
        return self.superuser.execute(_SEQUENCES).fetchall()

    def _mark(self) -> Any:
        return self.superuser.execute(_MARK).fetchone()
