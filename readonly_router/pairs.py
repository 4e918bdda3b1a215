"""The twin's side of a pair, and the wrapper classes of both sides over any engine."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from . import conf, following, mode
from .errors import ConfigurationError
from .held import held
from .renewal import Renewing
from .translation import writer_of
from .twin_sessions import refuse_writers_login, start_read_only, starts_read_only
from .wrappers import PairMember, Writer


class Twin(Renewing, PairMember):
    """The connection of a twin's alias; each of its sessions starts read-only, whoever provisioned the role."""

    is_twin = True

    def make_cursor(self, cursor: Any) -> Any:
        return self._told_whose(super().make_cursor(cursor))

    def make_debug_cursor(self, cursor: Any) -> Any:
        return self._told_whose(super().make_debug_cursor(cursor))

    def _told_whose(self, cursor: Any) -> Any:
        # Asked of the twin's own alias, it never goes on as the writer's.
        cursor.handed = held.handed == writer_of(self)
        return cursor

    def _may_hold(self) -> bool:
        # In normal mode somebody asked for the twin by its own name: that does not move the writer's alias.
        writer = writer_of(self)
        return (held.handed == writer or mode.is_read_only(writer)) and super()._may_hold()

    def connect(self) -> None:
        try:
            super().connect()
        except ConfigurationError:
            # Or the next use would find it connected.
            self.close()
            raise
        if mode.follows() and (writer := conf.writers().get(self.alias)):
            following.meet_twin(writer, self.connection)

    def close_if_unusable_or_obsolete(self) -> None:
        """Also drop a session that a request left writable: what it made there would meet the next one."""
        super().close_if_unusable_or_obsolete()
        if self.connection is not None and not self.in_atomic_block and not starts_read_only(self.connection):
            self.close()

    def _configure_connection(self, connection: Any) -> bool:
        configured = super()._configure_connection(connection)
        refuse_writers_login(connection, self.alias)
        return start_read_only(connection) or configured


@lru_cache
def paired(base: Any, *, twin: bool) -> type[BaseDatabaseWrapper]:
    """Return the wrapper class of the engine as a member of a pair; one class per engine and side."""
    member = Twin if twin else Writer
    attributes = {"__module__": __name__, "engine_make_cursor": base.make_cursor}
    return type(member.__name__, (member, base), attributes)
