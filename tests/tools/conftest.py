"""Which tests are collected: those of PgBouncer where its program is on this machine."""

from __future__ import annotations

from tests.harness.pgbouncer import program

collect_ignore = [] if program() else ["test_pooler.py"]
