"""The options of `manage.py read_only`, and what their values may be."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from datetime import datetime, timedelta, timezone

from ..durations import seconds
from ..escaping import shortened
from .logins import ADMIN_URL

_MOST = 1_000_000


def add_databases(parser: ArgumentParser) -> None:
    """Take which writers, and by which login."""
    parser.add_argument(
        "--database", action="append", metavar="ALIAS", help="writer alias (repeatable); default: all"
    )
    parser.add_argument("--admin-url", metavar="URL", help=f"a login that may do more; default: {ADMIN_URL}")


def add_djangos_own(parser: ArgumentParser) -> None:
    """Take what every command of Django takes after the verb as well, where people write it."""
    for name in ("--settings", "--pythonpath"):
        parser.add_argument(name, default=SUPPRESS, help=SUPPRESS)
    for name in ("--traceback", "--no-color", "--force-color"):
        parser.add_argument(name, action="store_true", default=SUPPRESS, help=SUPPRESS)
    parser.add_argument("-v", "--verbosity", type=int, choices=range(4), default=SUPPRESS, help=SUPPRESS)


def add_operator(parser: ArgumentParser) -> None:
    """Take who acts."""
    parser.add_argument("--by", default="", help="who acts, for the audit event; default: user@host")


def duration(text: str) -> float:
    """Return a duration in seconds."""
    try:
        return seconds(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def from_now(text: str) -> datetime:
    """Return the time that is a duration from now."""
    try:
        return datetime.now(timezone.utc) + timedelta(seconds=duration(text))
    except OverflowError:
        raise ArgumentTypeError(f"{shortened(text)} is too long") from None


def count(text: str) -> int:
    """Return how many."""
    if not (text.isdecimal() and text.isascii() and len(text) <= len(str(_MOST))) or int(text) > _MOST:
        raise ArgumentTypeError(f"{shortened(text)} is no number up to {_MOST}")
    return int(text)
