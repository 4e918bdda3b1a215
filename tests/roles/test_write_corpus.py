"""Attempts to write as the twin, each known to end otherwise as provisioned, switched off, and hardened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from readonly_router.errors import ProvisioningError
from tests.roles import fastpath
from tests.roles.attempts import ACCEPTED, Attempt, Stage, load
from tests.roles.fingerprint import Fingerprint, changed
from tests.roles.provisioning import OFF
from tests.roles.worlds import World, cast, wait_until_gone

ATTEMPTS = load()
Worlds = Callable[[Attempt, Stage], World]


@pytest.fixture(scope="module")
def worlds(server: str) -> Iterator[Worlds]:
    """A function that gives the database for an attempt at a stage, made when it is first asked for."""
    made: dict[str, World] = {}
    with cast(server) as (roles, template):

        def world_for(attempt: Attempt, stage: Stage) -> World:
            # Hardening is of one database: any other is as the server's own defaults left it.
            name = "elsewhere" if attempt.elsewhere else "hardened" if stage is Stage.HARDENED else "provisioned"
            if name not in made:
                source = "template1" if attempt.elsewhere else template
                made[name] = World(cast=roles, template=source, harden=name == "hardened")
            return made[name]

        try:
            yield world_for
        finally:
            for world in made.values():
                world.drop()


@pytest.mark.parametrize("stage", Stage, ids=lambda stage: stage.name.lower())
@pytest.mark.parametrize("attempt", ATTEMPTS, ids=str)
def test_attempt_ends_as_told(attempt: Attempt, stage: Stage, worlds: Worlds) -> None:
    world = worlds(attempt, stage)
    _skip_without(attempt, world)
    told = attempt.outcome(stage, world.cast.major)
    after = None
    try:
        before = _set_up(attempt, stage, world)

        sqlstate, message = _attempt(attempt, stage, world)

        after = world.fingerprint()
        parts = changed(before, after)
        assert (sqlstate, bool(parts)) == (told.sqlstate, told.lands), (message, parts)
    finally:
        world.repair(after, attempt.superuser)


def test_corpus_holds_190_attempts_each_by_its_own_name() -> None:
    assert len(ATTEMPTS) == 190
    assert max(Counter(map(str, ATTEMPTS)).values()) == 1


@pytest.mark.parametrize("major", range(14, 19))
def test_attempt_that_does_something_after_hardening_tells_why(major: int) -> None:
    left = [attempt for attempt in ATTEMPTS if attempt.outcome(Stage.HARDENED, major).effect != "nothing"]
    assert [str(attempt) for attempt in left if not attempt.because] == []


def _skip_without(attempt: Attempt, world: World) -> None:
    """Leave out what this server cannot hold, told by its name."""
    if world.cast.major < attempt.since:
        pytest.skip(f"PostgreSQL {attempt.since} is the first that has it")
    for extension in attempt.extensions:
        if extension not in world.cast.extensions:
            pytest.skip(f"the server has no extension {extension}")
    for setting, value in attempt.configured.items():
        row = world.admin.execute("SELECT current_setting(%s) ~ %s", [setting, value]).fetchone()
        if row != (True,):
            pytest.skip(f"the server's {setting} is not {value}")


def _set_up(attempt: Attempt, stage: Stage, world: World) -> Fingerprint:
    """Do what comes before the attempt; return what the database holds then."""
    if not (attempt.superuser or attempt.writer):
        return world.clean
    world.superuser(*attempt.superuser)
    if attempt.writer:
        with world.pair.login(world.pair.writer) as writer:
            _run(writer, attempt.writer, world)
    verb, _, reason = attempt.rerun.partition(": ")
    if stage is Stage.HARDENED and verb == "revokes":
        world.provision()
    elif stage is Stage.HARDENED and verb == "refuses":
        with pytest.raises(ProvisioningError, match=reason):
            world.provision()
        world.repair(world.fingerprint())
    return world.fingerprint()


def _attempt(attempt: Attempt, stage: Stage, world: World) -> tuple[str, str]:
    """Return how the twin's session ended: its SQLSTATE, and what PostgreSQL said."""
    pids = []
    with ExitStack() as stack:

        def login(user: str, **parameters: str) -> psycopg.Connection:
            connection = stack.enter_context(closing(world.pair.login(user, **parameters)))
            pids.append(connection.info.backend_pid)
            return connection

        if attempt.present:
            login(world.pair.writer)
        if attempt.earlier:
            with closing(login(world.pair.twin)) as earlier:
                _run(earlier, attempt.earlier, world)
        options = {"options": attempt.options} if attempt.options else {}
        twin = login(world.pair.twin, **options, **({"sslmode": "disable"} if attempt.calls else {}))
        switch = [] if stage is Stage.PROVISIONED else [OFF]
        answer = _outcome(twin, attempt, switch, world)
    wait_until_gone(world.admin, pids)
    return answer


def _outcome(twin: psycopg.Connection, attempt: Attempt, switch: list[str], world: World) -> tuple[str, str]:
    try:
        _run(twin, [*switch, *attempt.run], world)
    except psycopg.Error as error:
        return error.sqlstate or "?", str(error)
    return (_call(twin, attempt), "") if attempt.calls else (ACCEPTED, "")


def _call(twin: psycopg.Connection, attempt: Attempt) -> str:
    """Make the calls in one transaction, which a descriptor of a large object needs."""
    twin.execute("BEGIN")
    for function, *arguments in attempt.calls:
        sqlstate = fastpath.call(twin, function, *arguments)
        if sqlstate != ACCEPTED:
            return sqlstate
    twin.execute("COMMIT")
    return ACCEPTED


def _run(connection: psycopg.Connection, texts: list[str], world: World) -> None:
    for text in texts:
        connection.execute(world.fill(text).encode())
