"""The twin's side of a pair, and the wrapper classes of both sides over any engine."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import TransactionStatus

from .. import announcing, conf, libpq, mode
from ..following import followers
from ..following.watch import can_tell
from . import twin_logins
from .blocks import TwinCursor
from .engines import Tenanted
from .held import held
from .meeting import refuse_elsewhere
from .member import PairMember
from .translation import writer_of
from .twin_sessions import refuse_writers_login, start_read_only, starts_read_only
from .writer import Writer

_UNBROKEN = (TransactionStatus.IDLE, TransactionStatus.INTRANS)


class Twin(PairMember):
    """The connection of a twin's alias; each of its sessions starts read-only, whoever provisioned the role."""

    is_twin = True
    cursor_class = TwinCursor

    def validate_no_broken_transaction(self) -> None:
        """Let a block that is marked for rollback read on: nothing was written in it. Django ends it as marked."""
        if not self.needs_rollback:
            return
        if self.connection is None or self.connection.pgconn.transaction_status not in _UNBROKEN:
            super().validate_no_broken_transaction()

    def _may_hold(self) -> bool:
        # In normal mode somebody asked for the twin by its own name: that does not move the writer's alias.
        writer = writer_of(self)
        return (held.handed == writer or mode.is_read_only(writer)) and super()._may_hold()

    def get_connection_params(self) -> dict[str, Any]:
        return libpq.as_twin(super().get_connection_params())

    def connect(self) -> None:
        try:
            self._connect_whole()
        except self.Database.OperationalError as error:  # type: ignore[attr-defined]  # the engine's driver
            raise twin_logins.failed(str(self.alias), error) from error
        twin_logins.worked(str(self.alias))
        announcing.say_process(logging.INFO)
        writer = conf.writers().get(self.alias)
        if mode.follows() and writer and not self.is_replica:
            followers.of(writer).meet_twin(self.connection)

    def _connect_whole(self) -> None:
        try:
            super().connect()
            if can_tell(self.connection):
                refuse_elsewhere(self.connection, self.alias)
        except BaseException:
            # Or the next use would find it connected, and neither make it read-only nor ask where it leads.
            self.drop()
            raise

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
    """Return the wrapper class of the engine as a member of a pair; one class per engine and side.

    Under the engine's own name, by which tools know it.
    """
    names = {"__module__": base.__module__, "__qualname__": base.__qualname__}
    member = Twin if twin else Writer
    tenanted = (Tenanted,) if hasattr(base, "set_tenant") else ()
    return type(base.__name__, (*tenanted, member, base), {**names, "engine_make_cursor": base.make_cursor})
