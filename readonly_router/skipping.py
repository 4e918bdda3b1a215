"""Functions that do nothing in read-only mode, so that a page that writes while it is read can still be read."""

from __future__ import annotations

import functools
import importlib
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.dispatch import Signal

from . import conf
from .connections import is_read_only
from .errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "skipped_in_read_only"


def skip_in_read_only(function: F | None = None, *, returning: Any = None) -> Any:
    """Do nothing in read-only mode but return `returning`: for view counters, last-seen stamps, receivers, tasks.

    A decorator for functions and methods, sync or async, with or without arguments.
    """
    if function is None:
        return functools.partial(skip_in_read_only, returning=returning)
    decorate = _asynchronous if iscoroutinefunction(function) else _synchronous
    wrapper = functools.wraps(function)(decorate(function, returning))
    setattr(wrapper, _MARK, True)
    return wrapper


def _synchronous(function: Callable[..., Any], returning: Any) -> Callable[..., Any]:
    def skipped(*args: Any, **kwargs: Any) -> Any:
        return returning if is_read_only(conf.primary()) else function(*args, **kwargs)

    return skipped


def _asynchronous(function: Callable[..., Any], returning: Any) -> Callable[..., Any]:
    async def skipped(*args: Any, **kwargs: Any) -> Any:
        return returning if is_read_only(conf.primary()) else await function(*args, **kwargs)

    return skipped


# -- by dotted path, in anybody's code


def install(paths: Iterable[str] | None = None) -> None:
    """Wrap what READONLY_ROUTER_SKIP names, wherever it is referred to already. Idempotent.

    A path that leads nowhere is left to the system check, which names it.
    """
    for path in conf.skipped() if paths is None else paths:
        if not wrong(path):
            _install(*locate(path))


def _install(owner: Any, name: str, found: Any) -> None:
    # A Celery task is an object; what it does is its run().
    if not callable(getattr(found, "__get__", None)) and callable(getattr(found, "run", None)):
        owner, name, found = found, "run", found.run
    plain = found.__func__ if isinstance(found, staticmethod | classmethod) else found
    if getattr(plain, _MARK, False):
        return
    wrapper = skip_in_read_only(plain)
    setattr(owner, name, type(found)(wrapper) if isinstance(found, staticmethod | classmethod) else wrapper)
    _replace_references(plain, wrapper)


def locate(path: str) -> tuple[Any, str, Any]:
    """Return owner, name and function of a dotted path; raise ConfigurationError where it leads nowhere."""
    parts = path.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError as error:
            if error.name and not path.startswith(error.name):
                raise  # a module of theirs lacks another
            continue
        try:
            for name in parts[split:-1]:
                owner = getattr(owner, name)
            return owner, parts[-1], _own(owner, parts[-1])
        except AttributeError:
            break
    raise ConfigurationError(f"READONLY_ROUTER_SKIP names {path!r}, which does not exist; correct or remove it.")


def _own(owner: Any, name: str) -> Any:
    """Return an attribute as it stands in a class, not bound."""
    for kind in getattr(owner, "__mro__", ()):
        if name in vars(kind):
            return vars(kind)[name]
    return getattr(owner, name)


def _replace_references(plain: Any, wrapper: Any) -> None:
    """Put the wrapper where modules imported the function by name, and where signals hold it as a receiver."""
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is plain:
                setattr(module, name, wrapper)
            elif isinstance(value, Signal):
                _reconnect(value, plain, wrapper)


def _reconnect(signal: Signal, plain: Any, wrapper: Any) -> None:
    """Replace a connected receiver: Django keeps (key, reference, ...), weak or the function itself."""
    with signal.lock:
        for index, entry in enumerate(signal.receivers):
            reference = entry[1]
            weak = isinstance(reference, weakref.ReferenceType)
            if (reference() if weak else reference) is plain:
                # Strong: the module that holds the wrapper may be reloaded, the receiver was there to stay.
                replaced = (entry[0], wrapper, *entry[2:])
                signal.receivers[index] = cast(Any, replaced)
        signal.sender_receivers_cache.clear()


def missing() -> Iterator[str]:
    """Return what is wrong with each path that cannot be skipped."""
    yield from filter(None, map(wrong, conf.skipped()))


def wrong(path: str) -> str:
    """Return why a path cannot be skipped; empty when it can."""
    try:
        locate(path)
    except ConfigurationError as error:
        return str(error)
    return ""
