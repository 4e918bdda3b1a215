"""A refusal as a line of a log that nobody else can write, and as a line of the setting that would skip it.

A visitor may put any text into a log: in a path that is not there, in a Referer. So each line is signed with the
site's SECRET_KEY, and only those are read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.crypto import constant_time_compare, salted_hmac

from .. import conf
from .application import is_applications

SETTING = "READONLY_ROUTER_SKIP"
OTHER = "OTHER"
METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", OTHER)

_SALT = "readonly_router.refused"
_DIGITS = 16
_REFUSED = " was refused: "
CALLED_BY = ", called by "
_FROM = "It came from "
_ORIGIN = rf"[\w.]+(?:{CALLED_BY}[\w.]+)?"
_DECIDE = (
    ": decide whether the page can do without it; if nothing depends on what a function returns or raises, "
    f"mark it with @skip_in_read_only, or name it in {SETTING}."
)
_UNKNOWN = "Its origin is not known."
_CURE = rf'Add to {SETTING}: "[\w.]+"|{_FROM}{_ORIGIN}{re.escape(_DECIDE)}|{re.escape(_UNKNOWN)}'
_RECORD = re.compile(rf" Record ([0-9a-f]{{{_DIGITS}}})\. ({_CURE})")
_START = re.compile(rf"\b(?:{'|'.join(METHODS)})(?= [/?])")
# How far before its signature a record may begin, and how many beginnings are tried: lines may be endless.
_FAR, _STARTS = 2_000, 8
# Of a line whose signature is right.
_LINE = re.compile(
    rf"(\w+) (/.*|\?){_REFUSED}(?:a write|(\S+)(?: (.*))?)\. "
    rf'(?:Add to {SETTING}: "([\w.]+)"|{_FROM}({_ORIGIN}){re.escape(_DECIDE)}|{re.escape(_UNKNOWN)})'
)


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A page that wrote while it was read; `path` may be skipped, or `origin` tells where it came from."""

    method: str
    route: str
    verb: str = ""
    table: str = ""
    path: str = ""
    origin: str = ""


def line(refused: Refused) -> str:
    """Return a refusal as one line, signed."""
    said, cure = _said(refused), _cure(refused)
    return f"{said} Record {_signature(said, cure, _secrets()[0])}. {cure}"


def _said(refused: Refused) -> str:
    return f"{refused.method} {refused.route}{_REFUSED}{_what(refused)}."


def _what(refused: Refused) -> str:
    return f"{refused.verb} {refused.table}".strip() or "a write"


def _cure(refused: Refused) -> str:
    if refused.path:
        return f'Add to {SETTING}: "{refused.path}"'
    return f"{_FROM}{refused.origin}{_DECIDE}" if refused.origin else _UNKNOWN


# -- the signature


def _secrets() -> list[str]:
    return [conf.of_the_project("SECRET_KEY"), *conf.of_the_project("SECRET_KEY_FALLBACKS")]


def _signature(said: str, cure: str, secret: str) -> str:
    return salted_hmac(_SALT, f"{said} {cure}", secret=secret, algorithm="sha256").hexdigest()[:_DIGITS]


def _is_signed(said: str, cure: str, signature: str) -> bool:
    return any(constant_time_compare(_signature(said, cure, secret), signature) for secret in _secrets())


# -- a log


def from_log(lines: Iterable[str], *, ignore: Callable[[str], object] = lambda _: None) -> Iterator[Refused]:
    """Return the refusals that a log tells of, each once; `ignore` gets what looks like one and is not signed."""
    seen: set[Refused] = set()
    for text in lines:
        if _REFUSED not in text:
            continue
        found = [each for each in map(_read, _messages(text)) if each is not None]
        if not found and SETTING in text:
            ignore(text)
        yield from (each for each in found if each not in seen)
        seen.update(found)


def _messages(text: str) -> Iterator[str]:
    """Return what may be a message in a line: all of it, and each text of a JSON object in it."""
    yield text
    if "{" in text:
        try:
            found, _ = json.JSONDecoder().raw_decode(text, text.index("{"))
            yield from _texts(found)
        except (ValueError, RecursionError):
            return


def _texts(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict):
        for each in found.values():
            yield from _texts(each)


def _read(text: str) -> Refused | None:
    """Return the signed refusal that a text holds behind what a formatter put before it; None where none is."""
    for record in _RECORD.finditer(text):
        near = max(0, record.start() - _FAR)
        for start in [*_START.finditer(text, near, record.start())][-_STARTS:]:
            said = text[start.start() : record.start()]
            if _is_signed(said, record[2], record[1]) and (match := _LINE.fullmatch(f"{said} {record[2]}")):
                names = ("method", "route", "verb", "table", "path", "origin")
                return Refused(**{name: value or "" for name, value in zip(names, match.groups(), strict=True)})
    return None


# -- the setting


def as_setting(found: Iterable[Refused]) -> Iterator[str]:
    """Return the lines of the setting that would skip what was refused, ready to paste.

    Only functions of the application's are named: what Django or another library does may not be spared. What the
    site must decide on is a comment.
    """
    told = list(found)
    advised = [each for each in told if each.path and is_applications(each.path)]
    yield f"{SETTING} = ["
    for path in dict.fromkeys(each.path for each in advised):
        where = "; ".join(f"{each.method} {each.route}: {_what(each)}" for each in advised if each.path == path)
        yield f'    "{path}",  # {where}'
    for each in told:
        if each not in advised:
            cure = f"{each.path} is not of the application." if each.path else _cure(each)
            yield f"    # {_said(each)} {cure}"
    yield "]"
