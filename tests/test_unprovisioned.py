"""A twin whose login somebody made by hand: its sessions are read-only all the same."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections

from readonly_router import ReadOnlyError, read_only
from tests.database import Scratch


@pytest.fixture
def twin_with_every_right(scratch: Scratch, django_db_blocker: Any) -> Any:
    with scratch.superuser() as superuser:
        superuser.execute(f"""CREATE ROLE "{scratch.twin}" LOGIN PASSWORD '{scratch.password}'""".encode())
        superuser.execute("CREATE TABLE public.open (id int)")
        superuser.execute("GRANT ALL ON public.open TO PUBLIC")
    with django_db_blocker.unblock():
        yield scratch


def test_a_session_that_does_not_start_read_only_is_made_so(twin_with_every_right: Scratch) -> None:
    with read_only(), pytest.raises(ReadOnlyError, match="25006"), connections["scratch"].cursor() as cursor:
        cursor.execute("INSERT INTO public.open VALUES (1)")


@pytest.mark.filterwarnings("ignore:.*pool.*:ResourceWarning")
def test_each_session_of_a_pool_is_made_so(twin_with_every_right: Scratch) -> None:
    connections.settings["scratch_twin"]["OPTIONS"] = {"pool": {"min_size": 0, "max_size": 1}}
    try:
        with read_only(), pytest.raises(ReadOnlyError, match="25006"), connections["scratch"].cursor() as cursor:
            cursor.execute("INSERT INTO public.open VALUES (1)")
    finally:
        connections.real("scratch_twin").close()
        connections.real("scratch_twin").close_pool()


def test_without_autocommit_too(twin_with_every_right: Scratch) -> None:
    connections.settings["scratch_twin"]["AUTOCOMMIT"] = False
    with read_only(), pytest.raises(ReadOnlyError, match="25006"), connections["scratch"].cursor() as cursor:
        cursor.execute("INSERT INTO public.open VALUES (1)")
