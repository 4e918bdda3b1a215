"""Text of others in one line: what would end the line, or move or hide what stands around it, is escaped."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

# Control (C0, DEL, C1), format (bidi overrides, invisible tags), line and paragraph separators, lone surrogates
# (undecodable bytes). https://www.unicode.org/reports/tr44/#General_Category_Values
_CATEGORIES = {"Cc", "Cf", "Zl", "Zp", "Cs"}
# Within words of Persian, Hindi and others, and within emoji: they move nothing.
_JOINERS = {"\u200c", "\u200d"}


def escaped(text: str) -> str:
    """Return a text with each such character as Python writes it: a line break as \\n, an escape as \\x1b."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _CATEGORIES:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def shortened(value: object, limit: int = 60) -> str:
    """Return a value as Python writes it, escaped and cut: what a message quotes."""
    try:
        shown = escaped(repr(value))
    except (ValueError, RecursionError):  # an integer of more digits than Python writes
        shown = f"a value of {type(value).__name__} that is too large to be shown"
    return shown if len(shown) <= limit else f"{shown[:limit]}..."


def is_plain(text: str) -> bool:
    """Return whether nothing in a text has to be escaped."""
    return escaped(text) == text


def is_text(text: str) -> bool:
    """Return whether a text can be encoded, and kept by PostgreSQL: no undecodable bytes, no NUL."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return JSON of printable ASCII alone."""
    return json.dumps(value, default=str, indent=indent).replace("\x7f", "\\u007f")
