"""PgBouncer for the ledger, where one is to be had; without it the fleet is told to be smaller."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.harness.pgbouncer import POOLER_VARIABLE, has_pooler, pooler


def pytest_report_collectionfinish() -> str | list[str]:
    # Not pytest_report_header: pytest reads this file only when it collects.
    if has_pooler():
        return []
    return (
        "the ledger is kept without clients behind PgBouncer; install the program pgbouncer (apt install "
        f"pgbouncer), or set {POOLER_VARIABLE}"
    )


@pytest.fixture(scope="session")
def bouncer_way(server: str) -> Iterator[str]:
    """The HOST:PORT of a PgBouncer before the server; empty where none is to be had."""
    if found := os.environ.get(POOLER_VARIABLE):
        yield _place(found)
    elif has_pooler():
        with pooler(server) as url:
            yield _place(url)
    else:
        yield ""


def _place(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
