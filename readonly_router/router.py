"""The `DATABASE_ROUTERS` entry: the ORM's share of read-only mode, composed with the project's other routers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS, router

from . import conf, mode
from .connections.handler import install, resolve
from .installed import refuse_without_app

if TYPE_CHECKING:
    from django.db.models import Model


class ReadOnlyRouter:
    """Answer the twin in read-only mode; otherwise only undo what an instance remembers of it.

    Stands first in `DATABASE_ROUTERS` and asks the routers after it, so a model they send to `analytics` goes
    to the twin of `analytics`. Never raises: Django asks before any SQL, for reads too.
    Source: https://docs.djangoproject.com/en/stable/topics/db/multi-db/#using-routers
    """

    def __init__(self) -> None:
        refuse_without_app(f"{__name__}.{type(self).__name__}")
        # Queries may come before our AppConfig.ready().
        install()

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        instance = hints.get("instance")
        # Nearly always. This runs for every query, and calls nothing for it.
        if mode.open_at == (mode.apart() or mode.generation) and (
            instance is None or instance._state.db not in conf.writers()
        ):
            return None
        return self._route("db_for_read", model, hints)

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        instance = hints.get("instance")
        if mode.open_at == (mode.apart() or mode.generation) and (
            instance is None or instance._state.db not in conf.writers()
        ):
            return None
        return self._route("db_for_write", model, hints)

    def allow_relation(self, obj1: Model, obj2: Model, **_hints: Any) -> bool | None:
        """Allow relations between a pair's two aliases; leave the rest to the other routers."""
        dbs = {obj1._state.db, obj2._state.db}
        return True if dbs & {*conf.writers()} and len({*map(_writer, dbs)}) == 1 else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Answer for a twin what the project's routers answer for its writer, never more and never less.

        False for the twin would make flush and migrate find no tables and report success in read-only mode.
        """
        writer = conf.writers().get(db)
        return None if writer is None else router.allow_migrate(writer, app_label, **hints)

    def _route(self, action: str, model: type[Model], hints: dict[str, Any]) -> str | None:
        instance = hints.get("instance") if hints else None
        remembered = instance._state.db if instance is not None else None
        others = len(router.routers) > 1 and self._others(action, model, hints)
        chosen = others or remembered or DEFAULT_DB_ALIAS
        writer = conf.writers().get(chosen, chosen)
        serving = resolve(writer)
        # None where the routers to come answer as they would without this one.
        return None if serving == writer and remembered not in conf.writers() else serving

    def _others(self, action: str, model: type[Model], hints: dict[str, Any]) -> str | None:
        others = (other for other in router.routers if not isinstance(other, ReadOnlyRouter))
        answers = (getattr(other, action)(model, **hints) for other in others if hasattr(other, action))
        return next(filter(None, answers), None)


def _writer(alias: str | None) -> str | None:
    """Return the writer of a twin's alias; any other alias is itself."""
    return conf.writers().get(alias, alias) if alias is not None else None
