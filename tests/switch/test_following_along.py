"""What the application set on a session goes along as the switch moves its alias; what cannot is said, once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, close_old_connections, connection, connections, transaction
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from readonly_router import ReadOnlyError, SessionEndedError, mode
from readonly_router.connections import handler as resolution
from readonly_router.following import followers
from readonly_router.mark import MARKS, SETTING
from tests.database import entry
from tests.example.shop.models import Product, Tag
from tests.harness.pairs import wait_for
from tests.plugin import PREFIX
from tests.switch.asked import COUNT
from tests.switch.follower import (
    end_idle,
    flipped,
    following_anew,
    listen,
    login,
    off,
    sent_on,
    served_by,
    session,
)


@pytest.fixture(autouse=True)
def follower(shop: None) -> Iterator[None]:
    with following_anew():
        yield


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that looks whenever it can, with a session: it leaves that one before anybody ends it."""
    monkeypatch.setattr(followers.of("default"), "ask_seconds", 0.0)
    monkeypatch.setattr(followers.of("default"), "look_seconds", 0.0)
    session()


def run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def show(name: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s, true)", [name])
        return cursor.fetchone()[0]


def thrown_on() -> None:
    """Switch on, and have this thread's alias led to the twin by the news alone."""
    flipped()
    wait_for(lambda: resolution.resolve("default") == "readonly")


def thrown_off() -> None:
    off()
    wait_for(lambda: resolution.resolve("default") == "default")


def met_beside() -> None:
    """Switch on, and have another thread meet it: this one has looked at nothing since."""

    def meet() -> None:
        wait_for(lambda: served_by() == "readonly")
        connections.close_all()

    flipped()
    beside = threading.Thread(target=meet)
    beside.start()
    beside.join()


THROWS: tuple[tuple[Callable[[], None], str], ...] = ((thrown_on, "readonly"), (thrown_off, "default"))


# -- what goes along


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize(
    ("statement", "name", "value"),
    [
        ("SET search_path = 'a, \"b', public", "search_path", '"a, ""b", public'),
        ("SET work_mem = '9MB'", "work_mem", "9MB"),
        ("SET statement_timeout = '61s'", "statement_timeout", "61s"),
        ("SET TIME ZONE 'Asia/Tokyo'", "TimeZone", "Asia/Tokyo"),
        ("SET application_name = 'it''s \\ a worker'", "application_name", "it's \\ a worker"),
    ],
)
def test_a_parameter_goes_along_to_the_twin_and_back(statement: str, name: str, value: str) -> None:
    run(statement)
    for throw, serves in THROWS * 2:
        throw()
        assert (show(name), served_by()) == (value, serves)


@pytest.mark.usefixtures("listening")
def test_what_is_set_on_the_twin_goes_along_to_the_writer() -> None:
    run("SET work_mem = '9MB'")
    thrown_on()
    run("SET work_mem = '8MB'")
    thrown_off()
    assert show("work_mem") == "8MB"


@pytest.mark.usefixtures("listening")
def test_a_parameter_that_no_catalog_lists_goes_along_where_a_setting_names_it(settings: Any) -> None:
    settings.READONLY_ROUTER_PARAMETERS = ["shop.tenant", "shop.never_set"]
    run("SET shop.tenant = '7'", "SET shop.other = '8'")
    for throw, _ in THROWS:
        throw()
        assert (show("shop.tenant"), show("shop.never_set")) == ("7", None)


@pytest.mark.usefixtures("listening")
def test_who_may_write_never_goes_along() -> None:
    run("SET default_transaction_read_only = on")
    thrown_on()
    run("SET default_transaction_read_only = off", "SET transaction_read_only = off")
    with pytest.raises(ReadOnlyError):
        Tag.objects.create(name="refused")
    thrown_off()
    Tag.objects.create(name="written")


@pytest.mark.usefixtures("listening")
def test_whether_it_commits_by_itself_goes_along() -> None:
    try:
        transaction.set_autocommit(False)
        Tag.objects.create(name="kept")
        transaction.commit()
        for throw, _ in THROWS:
            throw()
            assert not transaction.get_autocommit()
        Tag.objects.create(name="undone")
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert [*Tag.objects.filter(name__in=["kept", "undone"]).values_list("name", flat=True)] == ["kept"]


@pytest.mark.usefixtures("listening")
def test_a_parameter_goes_along_where_no_session_commits_by_itself() -> None:
    with entry("default", AUTOCOMMIT=False), entry("readonly", AUTOCOMMIT=False):
        run("SET work_mem = '9MB'")
        transaction.commit()
        for throw, serves in THROWS:
            throw()
            found = show("work_mem"), served_by()
            transaction.rollback()
            assert (found, show("work_mem")) == (("9MB", serves), "9MB")
            transaction.rollback()


@pytest.mark.usefixtures("listening")
def test_what_the_application_made_of_its_session_is_not_in_the_way() -> None:
    session().row_factory = dict_row
    run("SET work_mem = '9MB'")
    met_beside()
    assert show("work_mem") == "9MB"


@pytest.mark.usefixtures("listening")
def test_it_goes_along_once_where_an_open_cursor_keeps_the_session() -> None:
    run("SET work_mem = '9MB'")
    products = Product.objects.order_by("pk").iterator(chunk_size=5)
    next(products)
    thrown_on()
    run("SET work_mem = '8MB'")
    kept = (show("work_mem"), len(list(products)), show("work_mem"))
    assert (kept, connections.real("default").connection) == (("8MB", COUNT - 1, "8MB"), None)


@pytest.mark.usefixtures("listening")
def test_news_that_another_thread_met_first_moves_it_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    run("SET work_mem = '9MB'")
    monkeypatch.setattr(followers.of("default"), "look_seconds", 3600.0)
    met_beside()
    assert (show("work_mem"), served_by()) == ("9MB", "readonly")


@pytest.mark.usefixtures("listening")
def test_it_goes_along_after_an_event_loop_that_met_the_switch() -> None:
    async def look() -> str:
        return resolution.resolve("default")

    run("SET work_mem = '9MB'")
    met_beside()
    assert asyncio.run(look()) == "readonly"
    assert (show("work_mem"), served_by()) == ("9MB", "readonly")


@pytest.mark.usefixtures("listening")
def test_a_transaction_that_was_begun_by_hand_on_the_twin_keeps_its_session() -> None:
    thrown_on()
    run("BEGIN", "SET LOCAL work_mem = '9MB'")
    off()
    with connections.real("default").cursor():
        pass
    assert (show("work_mem"), served_by()) == ("9MB", "readonly")
    run("ROLLBACK")
    wait_for(lambda: served_by() == "default")


# -- roles


@pytest.fixture
def role(superuser: psycopg.Connection[Any]) -> Iterator[str]:
    """A role that the writer may take."""
    name = f"{PREFIX}_taken"
    superuser.execute(SQL("CREATE ROLE {} NOLOGIN").format(Identifier(name)))
    _grant(superuser, name, "default")
    # A session of the site that writes the audit event begins with it too.
    for kind in ("TABLES", "SEQUENCES"):
        superuser.execute(SQL(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO {{}}").format(Identifier(name)))
    yield name
    superuser.execute(SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(Identifier(name)))


def _grant(superuser: psycopg.Connection[Any], role: str, alias: str) -> None:
    superuser.execute(SQL("GRANT {} TO {}").format(Identifier(role), Identifier(login(alias))))


@pytest.mark.usefixtures("listening")
def test_a_role_goes_along_where_the_twin_may_take_it(role: str, superuser: psycopg.Connection[Any]) -> None:
    _grant(superuser, role, "readonly")
    run(f"SET ROLE {role}")
    for throw, serves in THROWS:
        throw()
        assert (show("role"), served_by(), Product.objects.count()) == (role, serves, COUNT)


@pytest.mark.usefixtures("listening")
def test_a_role_that_the_twin_may_not_take_is_said_once(role: str) -> None:
    run("SET work_mem = '9MB'", f"SET ROLE {role}")
    thrown_on()
    with pytest.raises(SessionEndedError, match="did not go along: role"):
        Product.objects.count()
    # The rest did.
    assert (show("role"), show("work_mem"), Product.objects.count()) == ("none", "9MB", COUNT)


@pytest.mark.parametrize(
    "text", ["ALTER ROLE {0} SET role = {1}", "ALTER ROLE {0} IN DATABASE {2} SET role = {1}"]
)
@pytest.mark.usefixtures("listening")
def test_a_role_that_the_login_begins_with_stays_its_own(
    role: str, superuser: psycopg.Connection[Any], text: str
) -> None:
    names = [*map(Identifier, (login("default"), role, connections.settings["default"]["NAME"]))]
    superuser.execute(SQL(text).format(*names))
    try:
        connections.close_all()
        assert show("role") == role
        # By the admin: the writer's own sessions may not alter it as that role.
        superuser.execute(
            SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}").format(*names[::2], Identifier(SETTING), MARKS[0])
        )
        wait_for(lambda: resolution.resolve("default") == "readonly")
        assert (show("role"), Product.objects.count()) == ("none", COUNT)
    finally:
        superuser.execute(SQL("ALTER ROLE {} RESET role").format(names[0]))
        superuser.execute(SQL("ALTER ROLE {} IN DATABASE {} RESET ALL").format(*names[::2]))


@pytest.mark.usefixtures("listening")
def test_a_role_that_django_assumes_stays_the_entrys_own(role: str) -> None:
    options = {**connections.settings["default"].get("OPTIONS", {}), "assume_role": role}
    with entry("default", OPTIONS=options):
        assert show("role") == role
        thrown_on()
        assert (show("role"), Product.objects.count()) == ("none", COUNT)


# -- what cannot


LOST = {
    "temporary tables": "CREATE TEMPORARY TABLE basket AS SELECT 1 AS one",
    "advisory locks": "SELECT pg_advisory_lock(7)",
    "LISTEN": "LISTEN prices",
}


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("kind", LOST)
def test_what_cannot_go_along_is_said_once(kind: str) -> None:
    run("SET work_mem = '9MB'", LOST[kind])
    thrown_on()
    with pytest.raises(SessionEndedError, match=f"'default' .* did not go along: {kind}. Look") as told:
        run("SELECT 1")
    assert (told.value.alias, served_by(), show("work_mem")) == ("readonly", "readonly", "9MB")
    thrown_off()
    assert (served_by(), show("work_mem")) == ("default", "9MB")


@pytest.mark.usefixtures("listening")
def test_what_cannot_go_back_is_said_once() -> None:
    thrown_on()
    run(LOST["advisory locks"], LOST["LISTEN"])
    thrown_off()
    with pytest.raises(SessionEndedError, match="did not go along: advisory locks, LISTEN"):
        Tag.objects.create(name="not yet")
    Tag.objects.create(name="written")


@pytest.mark.usefixtures("listening")
def test_it_is_said_where_the_switch_moved_back_meanwhile() -> None:
    run(LOST["advisory locks"])
    thrown_on()
    thrown_off()
    with pytest.raises(SessionEndedError, match="advisory locks"):
        run("SELECT 1")
    run("SELECT 1")


@pytest.mark.usefixtures("listening")
def test_each_statement_of_a_block_says_it_and_the_next_block_does_not() -> None:
    run(LOST["advisory locks"])
    thrown_on()
    with transaction.atomic():
        for _ in range(2):
            with pytest.raises(SessionEndedError):
                run("SELECT 1")
        connections["default"].set_rollback(True)
    with pytest.raises(SessionEndedError):
        run("SELECT 1")
    with transaction.atomic():
        run("SELECT 1")


@pytest.mark.usefixtures("listening")
def test_a_session_that_cannot_be_asked_is_said_to_be_lost(superuser: psycopg.Connection[Any]) -> None:
    run("SET work_mem = '9MB'")
    met_beside()
    superuser.execute(
        "SELECT pg_terminate_backend(%s, 10000)", [connections.real("default").connection.info.backend_pid]
    )
    with pytest.raises(SessionEndedError, match="what was set on it"):
        run("SELECT 1")
    assert served_by() == "readonly"


@pytest.mark.usefixtures("listening")
def test_a_session_that_is_at_work_is_said_to_be_lost() -> None:
    with connection.cursor() as cursor:
        rows = cursor.stream("SELECT generate_series(1, 100000)")
        next(rows)
        met_beside()
        with pytest.raises(SessionEndedError, match="at work"):
            run("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            list(rows)
    assert served_by() == "readonly"


@pytest.mark.usefixtures("listening")
def test_a_twin_that_cannot_be_reached_at_that_moment_is_told_and_then_what_was_lost(
    superuser: psycopg.Connection[Any],
) -> None:
    run("SET work_mem = '9MB'")
    twin = Identifier(login("readonly"))
    superuser.execute(SQL("ALTER ROLE {} NOLOGIN").format(twin))
    try:
        flipped()
        with pytest.raises(OperationalError, match="not permitted to log in"):
            for _ in range(1000):
                run("SELECT 1")
    finally:
        superuser.execute(SQL("ALTER ROLE {} LOGIN").format(twin))
    with pytest.raises(SessionEndedError, match="did not go along: work_mem"):
        run("SELECT 1")
    assert served_by() == "readonly"


def test_a_session_that_ended_is_said_once_and_nothing_of_it_goes_along() -> None:
    run("SET work_mem = '9MB'")
    flipped()
    end_idle()
    with pytest.raises(SessionEndedError, match="what was set on it is gone"):
        run("SELECT 1")
    assert (served_by(), show("work_mem") == "9MB") == ("readonly", False)


@pytest.mark.usefixtures("listening")
def test_a_block_of_the_twins_own_is_given_nothing() -> None:
    run("SET work_mem = '9MB'")
    with transaction.atomic(using="readonly"), connections["readonly"].cursor() as cursor:
        cursor.execute("SELECT now()")
        before = cursor.fetchone()
        flipped()
        wait_for(lambda: resolution.resolve("default") == "readonly")
        with suppress(SessionEndedError):
            cursor.execute("SELECT now()")
            assert cursor.fetchone() == before


# -- who meets none of it


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("end", [int, end_idle], ids=["left", "ended"])
def test_a_loop_that_closes_old_connections_between_its_rounds_never_meets_it(end: Callable[[], Any]) -> None:
    served = []
    for throw in (int, flipped, int, off, int):
        throw()
        end()
        close_old_connections()
        run("SET work_mem = '9MB'", LOST["advisory locks"], LOST["LISTEN"])
        served.append((served_by(), Product.objects.count(), show("work_mem")))
    assert served == [(alias, COUNT, "9MB") for alias in ("default", "readonly", "readonly", "default", "default")]


def test_a_session_that_was_not_used_is_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with sent_on(listen(monkeypatch)) as sent:
        resolution.begin_request()
        thrown_on()
    assert [text for text in sent if "pg_settings" in text] == []


@contextmanager
def of_a_request() -> Iterator[None]:
    resolution.begin_request()
    token = mode.pin(["default"])
    try:
        yield
    finally:
        mode.unpin(token)


@pytest.mark.usefixtures("listening")
def test_a_request_keeps_its_session_and_the_next_one_begins_without_its_state() -> None:
    with of_a_request():
        run("SET work_mem = '9MB'", LOST["advisory locks"])
        flipped()
        assert (show("work_mem"), served_by()) == ("9MB", "default")
    resolution.begin_request()
    wait_for(lambda: resolution.resolve("default") == "readonly")
    with of_a_request():
        assert (show("work_mem") == "9MB", served_by()) == (False, "readonly")


@pytest.mark.usefixtures("listening")
def test_a_block_keeps_its_session_and_what_it_set_goes_along_after_it() -> None:
    with transaction.atomic():
        run("SET work_mem = '9MB'")
        flipped()
        resolution.resolve("default")
        assert served_by() == "default"
    wait_for(lambda: resolution.resolve("default") == "readonly")
    assert show("work_mem") == "9MB"


@pytest.mark.usefixtures("listening")
def test_an_explicit_close_lets_go_of_what_was_lost() -> None:
    run(LOST["advisory locks"])
    thrown_on()
    connections.close_all()
    assert served_by() == "readonly"
