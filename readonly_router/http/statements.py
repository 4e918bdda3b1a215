"""What a statement does, and to which table; never a value, for those are data.

By PostgreSQL's lexical rules, which sqlparse does not know: comments nest, and a backslash is no escape in a plain
literal, so that a part of a value could be taken for a table.
https://www.postgresql.org/docs/current/sql-syntax-lexical.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

# A statement may be megabytes long, or deep; its verb and its table stand before this.
_FAR, _MOST, _DEEP = 100_000, 5_000, 20
_LEXEME = re.compile(
    r"""
    (?P<left_out> \s+ | --[^\n]* )
  | (?P<comment> /\* )
  | (?P<literal> [eE]'(?:[^'\\]+|\\.|'')*(?:'|\Z)
               | (?:[bBnNxX]|[uU]&)?'(?:[^']+|'')*(?:'|\Z)
               | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
               | \d[\w.]* )
  | (?P<name> (?:[uU]&)?"(?:[^"]+|"")*" | [^\W\d][\w$]* )
  | .
    """,
    re.DOTALL | re.VERBOSE,
)
_COMMENT = re.compile(r"/\*|\*/")

# What changes data, each with what follows it: a column may bear such a name.
_CHANGES = {"INSERT": "INTO", "DELETE": "FROM", "MERGE": "INTO", "UPDATE": ""}
_STATEMENTS = frozenset({*_CHANGES, "SELECT", "VALUES", "TABLE", "WITH"})
_AROUND_ANOTHER = frozenset({"EXPLAIN", "DECLARE", "PREPARE"})
# What stands before the table; for a verb that is not here the first of the words in _OTHERS.
_BEFORE = {
    **{verb: (verb,) for verb in ("UPDATE", "COPY", "LOCK", "TRUNCATE", "TABLE")},
    **dict.fromkeys(("INSERT", "MERGE"), ("INTO",)),
    **dict.fromkeys(("CREATE", "ALTER", "DROP"), ("TABLE", "VIEW", "ON")),
    "DELETE": ("FROM",),
    "SELECT": ("INTO", "FROM"),
}
_OTHERS = ("TABLE", "VIEW")
_FILLERS = frozenset({"ONLY", "TABLE", "IF", "NOT", "EXISTS", "CONCURRENTLY", "LATERAL", "VERBOSE", "("})


def read(statement: str) -> tuple[str, str]:
    """Return a statement's verb and table, as far as they can be told at a glance."""
    lexemes = [*islice(_lexemes(statement[:_FAR]), _MOST)]
    change = next((index for index in range(len(lexemes)) if _is_change(lexemes, index)), 0)
    return _read(lexemes[change:])


def _lexemes(text: str) -> Iterator[str]:
    """Return names as they stand, words in capitals, signs, and an empty text for each literal."""
    at = 0
    while match := _LEXEME.match(text, at):
        at = _behind_comment(text, at) if match["comment"] else match.end()
        if not (match["left_out"] or match["comment"]):
            yield "" if match["literal"] else match[0]


def _behind_comment(text: str, at: int) -> int:
    depth = 0
    for mark in _COMMENT.finditer(text, at):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    return len(text)


def _is_change(lexemes: Sequence[str], index: int) -> bool:
    """Return whether a part begins here that changes data: in a WITH, or after another statement."""
    if index and lexemes[index - 1] not in ("(", ")", ";"):
        return False
    after = lexemes[index + 1] if index + 1 < len(lexemes) else ""
    follows = _CHANGES.get(lexemes[index].upper())
    return follows == after.upper() or (follows == "" and _is_name(after))


def _read(lexemes: Sequence[str], deep: int = 0) -> tuple[str, str]:
    if deep > _DEEP:
        return "", ""
    words = [each.upper() for each in lexemes]
    start = next((index for index, word in enumerate(words) if word not in ("(", ";")), len(words))
    verb = words[start] if words[start:] and _is_name(words[start]) else ""
    inside = [*_outside_of_parentheses(words, start)]
    if verb == "WITH" or verb in _AROUND_ANOTHER:
        inner = next((index for index in inside[1:] if words[index] in _STATEMENTS), len(words))
        told = _read(lexemes[inner:], deep + 1)
        return told if verb == "WITH" else (verb, told[1])
    for before in _BEFORE.get(verb, _OTHERS):
        for index in inside:
            # IS DISTINCT FROM
            if words[index] == before and words[index - 1] != "DISTINCT":
                return verb, _table(lexemes[index + 1 :], deep)
    return verb, ""


def _outside_of_parentheses(words: Sequence[str], start: int) -> Iterator[int]:
    depth = 0
    for index in range(start, len(words)):
        depth += {"(": 1, ")": -1}.get(words[index], 0)
        if depth < 0 or words[index] == ";":
            return
        if not depth:
            yield index


def _table(lexemes: Sequence[str], deep: int) -> str:
    """Return the name that comes next, its parts joined by dots; of a query in parentheses the table of that."""
    start = next((index for index, each in enumerate(lexemes) if each.upper() not in _FILLERS), len(lexemes))
    if "(" in lexemes[:start] and lexemes[start : start + 1] and lexemes[start].upper() in _STATEMENTS:
        return _read(lexemes[start:], deep + 1)[1]
    parts: list[str] = []
    for name, dot in zip(lexemes[start::2], [*lexemes[start + 1 :: 2], ""], strict=False):
        if not _is_name(name):
            break
        parts.append(_plain(name))
        if dot != ".":
            break
    return ".".join(parts)


def _is_name(lexeme: str) -> bool:
    return lexeme.endswith('"') or lexeme[:1].isalpha() or lexeme[:1] == "_"


def _plain(name: str) -> str:
    """Return a name as PostgreSQL knows it."""
    return name.partition('"')[2][:-1].replace('""', '"') if name.endswith('"') else name.lower()
