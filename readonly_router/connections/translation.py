"""A refused write as one typed error, with its alias and the reason; and the alias by which a twin is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
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
        raise_refusal(self.wrapper, exc_value)
        super().__exit__(exc_type, exc_value, traceback)


def raise_refusal(wrapper: Member, error: BaseException) -> None:
    """Raise the typed error where an error is a refusal."""
    if is_refusal(error, on_twin=wrapper.is_twin or wrapper.lender is not None):
        role = (wrapper.lender or wrapper).settings_dict["USER"]
        told = refusal(error, alias=wrapper.alias, role=role, reason=reason_of(wrapper))
        raise told.with_traceback(error.__traceback__) from error


@contextmanager
def refusals(wrapper: Member) -> Iterator[None]:
    """Raise the typed error for a refusal alone: where Django translates nothing, other errors stay psycopg's."""
    try:
        yield
    except psycopg.Error as error:
        raise_refusal(wrapper, error)
        raise


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
