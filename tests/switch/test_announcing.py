"""What a process logs of being read-only: once per change, and louder where it serves."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from django.core.management.commands.shell import Command as Shell
from django.db import connections

from readonly_router import announcing, disable_writes, is_read_only, mode
from readonly_router.conf import ProcessMode
from readonly_router.connections import asking
from readonly_router.middleware import ReadOnlyMiddleware
from tests.example.shop.models import Product
from tests.harness.pairs import wait_for
from tests.switch.follower import following_anew, off, on_at_once, served_by

VARIABLE = "This process is read-only"
SWITCH = "'default' is switched read-only"


@pytest.fixture
def unsaid() -> Iterator[None]:
    announcing.forget()
    yield
    mode.set_process(None)
    announcing.forget()


def test_each_change_of_the_switch_is_logged_once(shop: None, caplog: pytest.LogCaptureFixture) -> None:
    asking.forget()
    with following_anew():
        assert served_by() == "default"
        on_at_once(reason="moving")
        for _ in range(3):
            wait_for(is_read_only)
        off()
        for _ in range(3):
            wait_for(lambda: served_by() == "default")
    said = [record.getMessage() for record in caplog.records if record.name == "readonly_router"]
    assert [line.startswith(SWITCH) for line in said] == [True, False]
    assert said[-1] == "'default' is writable again."


def test_a_process_that_is_no_server_logs_it_with_its_first_session(
    shop: None, unsaid: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    disable_writes()
    for _ in range(2):
        connections.close_all()
        Product.objects.count()
    assert caplog.text.count(VARIABLE) == 1


def test_a_server_logs_it_as_a_warning(unsaid: None, caplog: pytest.LogCaptureFixture) -> None:
    mode.set_process(ProcessMode.READ_ONLY)
    for _ in range(2):
        ReadOnlyMiddleware(lambda request: None)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_shell_shows_it_where_the_log_goes_elsewhere(shop: None, unsaid: None) -> None:
    mode.set_process(ProcessMode.READ_ONLY)
    shell = Shell(stderr=io.StringIO())
    shell.run_from_argv(["manage.py", "shell", "-c", "pass"])
    assert shell.stderr.getvalue().count(VARIABLE) == 1
