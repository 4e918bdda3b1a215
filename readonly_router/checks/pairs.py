"""System checks: settings that would let a write through, or a read fail, each with the line that mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core import mail
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.db import connections, router
from django.db.backends.base.creation import TEST_DATABASE_PREFIX

from .. import conf, libpq, logins, mode
from ..conf import ProcessMode
from ..connections.meeting import compared
from ..connections.twin_sessions import unusable_engine
from ..errors import ConfigurationError
from ..following import followers
from ..http import skipping
from ..installed import APP
from ..libpq import same_login
from ..remedies import remedy
from ..roles.prove import audit
from ..roles.spec import Role

ROUTER = "readonly_router.router.ReadOnlyRouter"
PROVISION = "Run manage.py create_readonly_role"


def check_settings(**_: Any) -> list[CheckMessage]:
    """Check what settings alone tell; connects to nothing."""
    try:
        pairs = conf.twins()
        conf.replicas()
    except ConfigurationError as error:
        hint = "Map each writer alias to a twin alias of its own; name twins alone in READONLY_ROUTER_REPLICAS."
        return [_error(1, str(error), hint)]
    if messages := [*_check_installed()]:
        return messages  # the router would refuse to be loaded
    messages = [*_check_routers()]
    for writer, twin in pairs.items():
        messages += _check_pair(writer, twin)
    return [*messages, *_check_unpaired(pairs)]


def check_twins(*, databases: Iterable[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Check the twins of the databases asked for (`check --database ALIAS`), logged in as each.

    Warnings, not errors: `migrate` asks too, and comes before the role is provisioned.
    """
    asked = set(databases or ())
    messages: list[CheckMessage] = []
    if any(message.is_serious() for message in check_settings()):
        return messages  # to be mended first
    for writer, twin in conf.twins().items():
        if asked & {writer, twin} and not _is_of_tests(writer):
            messages += _check_role(writer, twin)
    return messages


def _is_of_tests(writer: str) -> bool:
    """Return whether a test run made the writer's database: no role is provisioned on it, nor is to be."""
    entry = connections.settings[writer]
    name = str(entry["NAME"] or "")
    named = name.startswith(TEST_DATABASE_PREFIX) or name == entry["TEST"].get("NAME")
    # As Django's set-up of the environment for tests leaves it.
    return named and hasattr(mail, "outbox")


def check_skipped(**_: Any) -> list[CheckMessage]:
    """Check that each path of READONLY_ROUTER_SKIP names a function."""
    hint = "manage.py read_only refusals prints paths that are right."
    try:
        return [_error(14, says, hint) for says in skipping.missing()]
    except ConfigurationError:
        return []  # E029


def _check_unpaired(pairs: dict[str, str]) -> Iterator[CheckMessage]:
    for alias in sorted({*connections.settings} - {*pairs, *pairs.values()}):
        yield _warning(
            13,
            f"DATABASES['{alias}'] is in no pair, so it stays writable in read-only mode.",
            "Pair it in READONLY_ROUTER_PAIRS, or silence this check if it is meant.",
        )


def _check_installed() -> Iterator[CheckMessage]:
    if not apps.is_installed(APP):
        yield _error(2, "readonly_router is used but not installed.", f"Add '{APP}' to INSTALLED_APPS.")


def _check_routers() -> Iterator[CheckMessage]:
    found = [_path(type(other)) for other in router.routers]
    ours = [index for index, other in enumerate(router.routers) if _is_ours(other)]
    if not ours:
        yield _error(3, "DATABASE_ROUTERS lacks the read-only router.", f"Put '{ROUTER}' first in it.")
        return
    for path, other in zip(found[: ours[0]], router.routers, strict=False):
        if _answers_for_everything(other) or hasattr(other, "allow_migrate"):
            yield _error(
                4,
                f"The router {path} stands before the read-only router and answers in its place.",
                f"Put '{ROUTER}' first: it asks the routers after it.",
            )
        else:
            yield _warning(
                5,
                f"The router {path} stands before the read-only router.",
                f"Put '{ROUTER}' first in the list.",
            )


def _answers_for_everything(other: Any) -> bool:
    asks: list[Callable[..., Any]] = [
        getattr(other, action) for action in ("db_for_read", "db_for_write") if hasattr(other, action)
    ]
    models = apps.get_models()
    return any(all(ask(model) for model in models) for ask in asks)


def _check_pair(writer: str, twin: str) -> Iterator[CheckMessage]:
    entries = connections.settings
    missing = [alias for alias in (writer, twin) if alias not in entries]
    if missing:
        yield _error(
            6,
            f"DATABASES has no '{missing[0]}'.",
            "Use databases_from_env(), or correct READONLY_ROUTER_PAIRS.",
        )
        return
    unusable = [alias for alias in (writer, twin) if unusable_engine(entries[alias]["ENGINE"])]
    if unusable:
        yield _error(
            7,
            f"DATABASES['{unusable[0]}'] is not PostgreSQL with psycopg 3, which is what refuses the writes.",
            "Use django.db.backends.postgresql and install psycopg (version 3).",
        )
        return
    yield from _check_logins(writer, twin)
    yield from _check_options(writer, twin)


def _check_logins(writer: str, twin: str) -> Iterator[CheckMessage]:
    same = same_login(connections.settings[writer], connections.settings[twin])
    locked = mode.process() is ProcessMode.LOCKED
    if same and not locked:
        yield _error(
            8,
            f"DATABASES['{twin}'] logs in as the writer '{writer}' itself.",
            f"Give '{twin}' a USER of its own; {PROVISION[0].lower()}{PROVISION[1:]}.",
        )
    if locked and not same:
        yield _error(
            9,
            f"DB_READ_ONLY=locked, but DATABASES['{writer}'] holds the writer's login.",
            f"Use databases_from_env(), or give '{writer}' the login of '{twin}' when DB_READ_ONLY is locked.",
        )


def _check_options(writer: str, twin: str) -> Iterator[CheckMessage]:
    entry = connections.settings[twin]
    if libpq.wants_to_write(connections.settings[writer]["OPTIONS"]) and mode.process() is not ProcessMode.LOCKED:
        yield _warning(
            34,
            f"target_session_attrs=read-write keeps the login of '{writer}' out while the switch is on.",
            "Use target_session_attrs=primary; read_only on refuses the other.",
        )
    if entry["ATOMIC_REQUESTS"]:
        yield _error(
            10,
            f"ATOMIC_REQUESTS of '{twin}' opens a second connection for every request.",
            f"Set it on '{writer}' alone; a block there covers both modes.",
        )
    if entry["OPTIONS"].get("assume_role"):
        yield _error(
            11,
            f"OPTIONS['assume_role'] of '{twin}' gives its login another role's rights.",
            "Remove it from the twin.",
        )
    if entry["TEST"].get("MIRROR") != writer:
        yield _warning(
            12,
            f"DATABASES['{twin}'] is not mirrored in tests, where it would be a database of its own.",
            f"Set 'TEST': {{'MIRROR': '{writer}'}} on it.",
        )


def _check_role(writer: str, twin: str) -> Iterator[CheckMessage]:
    entry = connections.settings[twin]
    try:
        with logins.connect(f"'{twin}'", logins.parameters(entry, twin)) as connection:
            pooled, place = connection.pooled, logins.place_of(connection)
            # As the server knows it: a pooler, a service or PGUSER may have given it another name.
            name, known = logins.login_of(connection), followers.of(writer).login
            role = Role(name=name, writer=known, database=place.database)
            unreadable, landed = audit(connection, role)
    except Exception as error:  # noqa: BLE001 - whatever keeps the twin from its server is what is told
        yield _check_login_failure(twin, entry, str(error))
        return
    refused, missing = compared(writer, twin, place)
    if refused:
        # What another database lets it read or write says nothing.
        yield _error(32, refused, "Then run manage.py create_readonly_role --check.")
        return
    if missing:
        yield _warning(
            32, f"Where '{twin}' leads is not compared with '{writer}': {missing}", "Run it where both log in."
        )
    if entry["OPTIONS"].get("options") and pooled:
        yield _pooler_options(twin)
    if landed:
        yield _warning(
            21, f"The twin '{twin}' can write: {_some([power.says for power in landed])}.", f"{PROVISION}."
        )
    if unreadable:
        yield _warning(
            22, f"The twin '{twin}' cannot read: {_some([gap.says for gap in unreadable])}.", f"{PROVISION}."
        )


def _check_login_failure(twin: str, entry: dict[str, Any], error: str) -> CheckMessage:
    if entry["OPTIONS"].get("options") and "startup parameter" in error:
        return _pooler_options(twin)
    # As it stands: what made no login of it may be what is wrong.
    login = {"user": entry["USER"], "dbname": entry["NAME"], "password": entry["PASSWORD"]}
    return _warning(20, f"The twin '{twin}' cannot log in: {error}", f"Next: {remedy(error, login)}.")


def _pooler_options(twin: str) -> CheckMessage:
    return _warning(
        23,
        f"OPTIONS['options'] of '{twin}' is a start-up parameter, which PgBouncer refuses or drops.",
        "Set it on the role instead: ALTER ROLE ... SET.",
    )


def _some(lines: Sequence[str]) -> str:
    more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
    return "; ".join(lines[:3]) + more


def _is_ours(other: Any) -> bool:
    # By name, since importing the router imports models, too early where settings.py imports this package.
    return any(_path(kind) == ROUTER for kind in type(other).__mro__)


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _error(number: int, message: str, hint: str) -> CheckMessage:
    return Error(message, hint=hint, id=f"readonly_router.E{number:03}")


def _warning(number: int, message: str, hint: str) -> CheckMessage:
    return CheckWarning(message, hint=hint, id=f"readonly_router.W{number:03}")
