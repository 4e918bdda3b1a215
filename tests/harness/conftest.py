"""The standby of the tests here, and which of them are collected: those of PgBouncer where one is to be had."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.pgbouncer import POOLER_VARIABLE, has_pooler, pooler, program
from tests.harness.programs import own_programs
from tests.harness.servers import Servers, own_servers

STANDBY_VARIABLE = "TEST_STANDBY_URL"

collect_ignore = [
    *([] if has_pooler() else ["test_pgbouncer.py", "test_pgbouncer_provisioning.py"]),
    *([] if has_pooler() else ["test_switch_pgbouncer.py", "test_switch_pgbouncer_following.py"]),
    *([] if has_pooler() else ["test_switch_pgbouncer_login_fence.py"]),
    *([] if program() else ["test_forced_user.py", "test_switch_session_pooling.py"]),
]


def pytest_report_collectionfinish() -> str | list[str]:
    # Not pytest_report_header: pytest reads this file only when it collects.
    if not collect_ignore:
        return []
    return (
        f"not collected: {', '.join(collect_ignore)}; install the program pgbouncer (apt install pgbouncer), "
        f"or set {POOLER_VARIABLE}"
    )


@pytest.fixture(scope="session")
def servers(server: str) -> Iterator[Servers]:
    """The standby of the suite's server where there is one, else a primary and a standby of their own."""
    if standby := os.environ.get(STANDBY_VARIABLE):
        yield Servers(primary=server, standby=standby)
        return
    with own_servers() as made:
        yield made


@pytest.fixture(scope="session")
def programs(server: str) -> Iterator[Path | None]:
    """The folder of the suite's server's programs; None where the wheel's must do, or are the same."""
    with own_programs(server) as found:
        yield found


@pytest.fixture(scope="session")
def servers_of_major(request: pytest.FixtureRequest, programs: Path | None) -> Iterator[Servers]:
    """A primary and a standby of the suite's own major, where its programs are at hand."""
    if programs is None or os.environ.get(STANDBY_VARIABLE):
        yield request.getfixturevalue("servers")
        return
    with own_servers(programs) as made:
        yield made


@pytest.fixture(scope="session")
def bouncer(server: str) -> Iterator[str]:
    """The superuser's URL through PgBouncer."""
    if found := os.environ.get(POOLER_VARIABLE):
        yield found
        return
    with pooler(server) as url:
        yield url
