"""What a setting may hold, by kind; the error names the setting, the value and what is allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .durations import seconds
from .errors import ConfigurationError
from .escaping import is_text, shortened


def wrong(name: str, value: object, allowed: str) -> ConfigurationError:
    """Return the error of a setting that holds something else than it may."""
    return ConfigurationError(f"{name}={shortened(value)} is not understood; use {allowed}.")


def duration(name: str, value: object) -> float:
    """Return a duration in seconds."""
    try:
        return seconds(value)
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}") from None


def one_of(name: str, value: object, allowed: Collection[str]) -> str:
    """Return one of the words that are allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise wrong(name, value, f"one of {', '.join(allowed)}")
    return value


def truth(name: str, value: object) -> bool:
    """Return True or False; a text from the environment, "False" among them, would be true."""
    if not isinstance(value, bool):
        raise wrong(name, value, "True or False")
    return value


def texts(name: str, value: object) -> tuple[str, ...]:
    """Return a list's texts; a single text is one entry, not its letters: "/" would let every path through."""
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, list | tuple | set | frozenset):
        raise wrong(name, value, "a list of texts")
    for each in found:
        if not isinstance(each, str) or not each or not is_text(each):
            raise wrong(name, each, "texts alone in its list, none of them empty")
    return tuple(found)


def module(name: str, value: object) -> str:
    """Return the dotted path of a module."""
    if not isinstance(value, str) or not all(part.isidentifier() for part in value.split(".")):
        raise wrong(name, value, "the dotted path of a module")
    return value


def pairs(name: str, value: object) -> dict[str, str]:
    """Return writer alias -> twin alias."""
    if not isinstance(value, Mapping) or not all(
        isinstance(alias, str) for pair in value.items() for alias in pair
    ):
        raise ConfigurationError(
            f"{name}={shortened(value)} must map writer aliases to twin aliases, as in {{'default': 'readonly'}}."
        )
    if not value:
        raise ConfigurationError(f"{name} is empty, so no database would be read-only; name a pair.")
    if len({*value, *value.values()}) != 2 * len(value):
        raise ConfigurationError(f"{name} names an alias twice; each writer needs a twin of its own.")
    return dict(value)
