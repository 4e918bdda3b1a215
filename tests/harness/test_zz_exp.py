from __future__ import annotations
import time
import pytest
from django.db import connections
from readonly_router import following, is_read_only
from tests import database
from tests.harness.pairs import lead
from tests.harness.pools import *
from tests.harness.switches import *
from readonly_router.switch.operate import switch_off

@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("persistent", [False, True])
def test_x(server, bouncer, django_db_blocker, pool, persistent):
    with django_db_blocker.unblock(), database.scratch(server) as made:
        make_switchable(made)
        if pool: lead_through(made, bouncer)
        try:
            assert read(made)
            if not persistent: connections.close_all()
            throw_on(made, fence="login")
            res=[]
            end=time.time()+4
            while time.time()<end:
                try: res.append(("ok" if read(made) else "no", is_read_only(made.alias)))
                except Exception as e: res.append((type(e).__name__, str(e)[:90]))
                if not persistent: connections.close_all()
                time.sleep(.2)
            print(pool, persistent, sorted({(r, res.count(r)) for r in res}, key=str))
        finally:
            try: throw_off(made)
            except Exception as e: print("OFF FAILED", e)
            connections.close_all(); following.forget()
            for a in (made.alias, made.twin_alias): lead(a, server)
