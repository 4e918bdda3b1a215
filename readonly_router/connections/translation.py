"""A refused write as one typed error, with its alias and the reason; and the alias by which a twin is asked."""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.utils import DatabaseErrorWrapper

from .. import conf, mode
from .protocols import Member
from .refusals import is_refusal, refusal


class RefusalTranslator(DatabaseErrorWrapper):
    """Django's translation of psycopg errors, with refused writes as one typed error."""

    wrapper: Member

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        if exc_type is None:
            return
        if is_refusal(exc_value, on_twin=self.wrapper.is_twin or self.wrapper.lender is not None):
            raise refusal(exc_value, alias=self.wrapper.alias, reason=reason_of(self.wrapper)).with_traceback(
                traceback
            ) from exc_value
        super().__exit__(exc_type, exc_value, traceback)


def reason_of(wrapper: Member) -> str:
    writer = writer_of(wrapper)
    if reason := mode.explanation(writer):
        return reason
    if wrapper.is_twin:
        return f"'{wrapper.alias}' is the read-only twin of '{writer}'; write through '{writer}'."
    return "The server or the role is read-only (default_transaction_read_only, or a standby); ask its operator."


def writer_of(wrapper: Member) -> str:
    """Return the writer's alias of a pair member; a copy without a database has an alias of Django's own."""
    alias = str(wrapper.alias)
    return alias if alias in conf.twins() else conf.writers().get(alias, DEFAULT_DB_ALIAS)


class TwinAlias(str):
    """A twin's alias on its wrapper: in read-only mode it equals its writer's too.

    Django compares a subquery's alias with the connection's and refuses to mix databases; a query that mixes
    `.using("default")` with routed models stays on one connection, and so must pass. Hashes as itself.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if str.__eq__(self, other) is True:
            return True
        writer = conf.writers().get(str(self))
        return other == writer and writer is not None and mode.is_read_only(writer)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__
