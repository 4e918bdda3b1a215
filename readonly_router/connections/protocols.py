"""What the parts of a pair's connection know of each other, so that none imports the whole."""

from __future__ import annotations

from typing import Any, Protocol


class Member(Protocol):
    """A wrapper of a pair: Django's, and what `connections.member` adds."""

    # As Django's base class has them.
    alias: Any
    connection: Any
    autocommit: bool
    in_atomic_block: bool
    # Of ours.
    is_twin: bool
    used: bool
    lender: Any

    @property
    def is_replica(self) -> bool: ...
    def holds_alias(self) -> bool: ...
    def begin_work(self) -> None: ...
    def borrow(self, twin: Any) -> None: ...
    def create_cursor(self, name: str | None = None) -> Any: ...
    def ensure_connection(self) -> None: ...
    def close(self) -> None: ...


class MemberCursor(Protocol):
    """A cursor of such a wrapper."""

    # psycopg's own.
    cursor: Any
    db: Member
    handed: bool
