"""Environment variables whose names are nearly ours: read by nobody, they would leave a process as it was."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher

from .errors import ConfigurationError

# A letter too many, too few, exchanged or another: 0.9 of ten letters.
_CLOSE = 0.9
_FAMILY = "DB"


def refuse_near_names(name: str, environ: Mapping[str, str]) -> None:
    """Raise ConfigurationError for a variable whose name is nearly `name`, unless that holds the same."""
    for found in sorted(environ):
        if found != name and environ[found] != environ.get(name) and _is_near(found, name):
            raise ConfigurationError(f"{found} is not read; the variable's name is {name}.")


def _is_near(found: str, name: str) -> bool:
    mine, other = _letters(name), _letters(found)
    if mine == other:
        return True
    # A prefix of one's own (MY_DB_READ_ONLY) or a number (DB_READONLY_2) makes it another variable.
    if not other.startswith(_FAMILY[0]) or not other.isalpha() or abs(len(mine) - len(other)) > 1:
        return False
    return SequenceMatcher(None, mine, other, autojunk=False).ratio() >= _CLOSE


def _letters(name: str) -> str:
    """Return a name without what people mix up: underscores, spaces, case, DB and DATABASE, a word twice."""
    letters = re.sub(r"^DAT[ABSE]{3,5}(?=R|ADMIN)", _FAMILY, re.sub(r"[\s_-]", "", name.upper()))
    return re.sub(r"(READ|ONLY|URL|PASSWORD)\1+", r"\1", re.sub(r"(PASSWD|PASSWRD)$", "PASSWORD", letters))
