"""What the parts of a pair's connection know of each other, so that none imports the whole."""

from __future__ import annotations

from typing import Any, Protocol


class Member(Protocol):
    """A wrapper of a pair: Django's, and what `connections.member` adds."""

    # As Django's base class has them.
    alias: Any
    connection: Any
    autocommit: bool
    settings_dict: Any
    in_atomic_block: bool
    # Of ours.
    is_twin: bool
    used: bool
    owes_error: str
    lender: Any

    @property
    def timezone_name(self) -> Any: ...
    @property
    def is_replica(self) -> bool: ...
    def holds_alias(self) -> bool: ...
    def begin_work(self) -> None: ...
    def borrow(self, twin: Any) -> None: ...
    def cursor(self) -> Any: ...
    def ensure_connection(self) -> None: ...
    def close(self) -> None: ...
    def set_autocommit(self, autocommit: bool) -> None: ...
    def retire(self) -> bool: ...


class MemberCursor(Protocol):
    """A cursor of such a wrapper."""

    # psycopg's own.
    cursor: Any
    db: Member
    handed: bool
