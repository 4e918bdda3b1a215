"""Functions that do nothing in read-only mode, so that a page that writes while it is read can still be read."""

from __future__ import annotations

import functools
import importlib
import logging
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MethodType, ModuleType
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.dispatch import Signal

from .. import conf
from ..connections.asking import is_read_only
from ..errors import ConfigurationError, ReadOnlyError
from .application import is_framework

logger = logging.getLogger("readonly_router")

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "skipped_in_read_only"
# Where the task objects of Celery, Dramatiq, Huey and Django keep their function.
_FUNCTIONS = ("run", "fn", "func")


def skip_in_read_only(function: F | None = None, *, returning: Any = None) -> Any:
    """Do nothing in read-only mode but return `returning`: for view counters, last-seen stamps, receivers, tasks.

    A decorator for functions and methods, sync or async, with or without arguments; above or below others.
    """
    if function is None:
        return functools.partial(skip_in_read_only, returning=returning)
    if isinstance(function, staticmethod | classmethod):
        return type(function)(skip_in_read_only(function.__func__, returning=returning))
    if name := _function_of(function):
        _set(function, name, skip_in_read_only(getattr(function, name), returning=returning))
        return function
    decorate = _asynchronous if iscoroutinefunction(function) else _synchronous
    wrapper = functools.wraps(function)(decorate(function, returning))
    setattr(wrapper, _MARK, True)
    return wrapper


def _synchronous(function: Callable[..., Any], returning: Any) -> Callable[..., Any]:
    def skipped(*args: Any, **kwargs: Any) -> Any:
        if is_read_only(conf.primary()):
            return returning
        try:
            return function(*args, **kwargs)
        except ReadOnlyError:
            # What was refused may be how this process hears of the switch.
            if not is_read_only(conf.primary()):
                raise
            return returning

    return skipped


def _asynchronous(function: Callable[..., Any], returning: Any) -> Callable[..., Any]:
    async def skipped(*args: Any, **kwargs: Any) -> Any:
        if is_read_only(conf.primary()):
            return returning
        try:
            return await function(*args, **kwargs)
        except ReadOnlyError:
            if not is_read_only(conf.primary()):  # as above
                raise
            return returning

    return skipped


def _function_of(found: Any) -> str:
    """Return under which name an object of a task queue keeps its function; empty for anything else."""
    if isinstance(found, type | ModuleType | functools.partial) or hasattr(type(found), "__get__"):
        return ""
    return next((name for name in _FUNCTIONS if callable(getattr(found, name, None))), "")


def _set(owner: Any, name: str, value: Any) -> None:
    try:
        setattr(owner, name, value)
    except AttributeError:
        object.__setattr__(owner, name, value)  # a frozen dataclass, as Django's tasks are


# -- by dotted path, in anybody's code


def install(paths: Iterable[str] | None = None) -> None:
    """Wrap what READONLY_ROUTER_SKIP names, wherever it is referred to already. Idempotent.

    A path that cannot be skipped is logged, for a server runs no system checks.
    """
    replaced: dict[int, tuple[Any, Any]] = {}
    for path in conf.skipped() if paths is None else paths:
        if says := wrong(path) or (guarded(path) if paths is None else ""):
            logger.warning("%s Nothing is skipped for it.", says)
        elif pair := _install(*locate(path)):
            replaced[id(pair[0])] = pair
    if replaced:
        _replace_references(replaced)


def _install(owner: Any, name: str, found: Any) -> tuple[Any, Any] | None:
    """Wrap one function where it is defined; return it and its wrapper, where others may refer to it."""
    if inner := _function_of(found):
        owner, name, found = found, inner, getattr(found, inner)
    plain = found.__func__ if isinstance(found, staticmethod | classmethod) else found
    if getattr(plain, _MARK, False):
        return None
    wrapper = skip_in_read_only(plain)
    _set(owner, name, type(found)(wrapper) if plain is not found else wrapper)
    return plain, wrapper


def locate(path: str) -> tuple[Any, str, Any]:
    """Return owner, name and function of a dotted path; raise ConfigurationError where it leads nowhere."""
    parts = path.split(".")
    named = all(part.isidentifier() for part in parts)
    for split in range(len(parts) - 1 if named else 0, 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError as error:
            if error.name and not f"{path}.".startswith(f"{error.name}."):
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
    for kind in owner.__mro__ if isinstance(owner, type) else ():
        if name in vars(kind):
            return vars(kind)[name]
    return getattr(owner, name)


def missing() -> Iterator[str]:
    """Return what is wrong with each path that cannot be skipped."""
    yield from filter(None, map(wrong, conf.skipped()))


def not_allowed() -> Iterator[str]:
    """Return what is wrong with each path that may not be skipped."""
    yield from filter(None, map(guarded, conf.skipped()))


def wrong(path: str) -> str:
    """Return why a path cannot be skipped; empty when it can."""
    try:
        _, _, found = locate(path)
    except ConfigurationError as error:
        return str(error)
    known = isinstance(found, staticmethod | classmethod) or bool(_function_of(found))
    if isinstance(found, type) or not (known or callable(found)):
        return f"READONLY_ROUTER_SKIP names {path!r}, which is no function; name a function or a method."
    return ""


def guarded(path: str) -> str:
    """Return why a path may not be skipped although it could be; empty when it may.

    What a framework does may be what protects the site: skipping a method of Django's switched off CSRF.
    """
    if is_framework(path) or any(map(is_framework, _homes(path))):
        return (
            f"READONLY_ROUTER_SKIP names {path!r}, which is of a framework and may be what protects the site "
            "(without it CSRF tokens or permissions are not checked); name the function of yours that writes."
        )
    return ""


def _homes(path: str) -> Iterator[str]:
    """Return the modules in which the owner and the function of a path are really defined."""
    try:
        owner, _, found = locate(path)
    except ConfigurationError:
        return  # told as such
    if isinstance(owner, type):
        yield owner.__module__
    plain = getattr(found, "__func__", found)
    module = str(getattr(plain, "__module__", "")) if hasattr(plain, "__qualname__") else ""
    # A model's own save() is Django's function, in a class that is not.
    if not module.startswith("django.db.models."):
        yield module


# -- who refers to it already


def _replace_references(replaced: Mapping[int, tuple[Any, Any]]) -> None:
    """Put wrappers where modules imported the functions by name, and where signals hold them as receivers."""
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if (pair := replaced.get(id(value))) is not None and pair[0] is value:
                setattr(module, name, pair[1])
            # By its type: a lazy object, asked for its class, would load what it stands for.
            elif issubclass(type(value), Signal):
                _reconnect(value, replaced)


def _reconnect(signal: Signal, replaced: Mapping[int, tuple[Any, Any]]) -> None:
    """Replace connected receivers: Django keeps ((id, sender's id), receiver or weak reference, ...)."""
    with signal.lock:
        for index, entry in enumerate(signal.receivers):
            reference = entry[1]
            weak = isinstance(reference, weakref.ReferenceType)
            if (receiver := _wrapped(reference() if weak else reference, replaced)) is None:
                continue
            kept = _reference(receiver) if weak else receiver
            signal.receivers[index] = cast(Any, (_key(entry[0], receiver), kept, *entry[2:]))
        signal.sender_receivers_cache.clear()


def _wrapped(receiver: Any, replaced: Mapping[int, tuple[Any, Any]]) -> Any:
    """Return the wrapper of a receiver that is a function, or a method bound to an object."""
    function = getattr(receiver, "__func__", receiver)
    plain, wrapper = replaced.get(id(function), (None, None))
    if plain is not function or plain is None:
        return None
    return wrapper if function is receiver else MethodType(wrapper, receiver.__self__)


def _reference(receiver: Any) -> Any:
    return weakref.WeakMethod(receiver) if isinstance(receiver, MethodType) else weakref.ref(receiver)


def _key(key: tuple[Any, Any], receiver: Any) -> tuple[Any, Any]:
    """Return the key under which a receiver is found when it is connected again, or disconnected, by its name."""
    was = getattr(receiver, "__func__", receiver).__wrapped__
    owner = getattr(receiver, "__self__", None)
    if owner is None:
        return (id(receiver), key[1]) if key[0] == id(was) else key
    return ((id(owner), id(receiver.__func__)), key[1]) if key[0] == (id(owner), id(was)) else key
