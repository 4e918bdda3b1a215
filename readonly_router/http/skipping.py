"""Functions that do nothing in read-only mode, so that a page that writes while it is read can still be read."""

from __future__ import annotations

import functools
import importlib
import logging
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, MethodType, ModuleType
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.dispatch import Signal

from .. import conf
from ..connections.asking import is_read_only
from ..errors import ConfigurationError, ReadOnlyError
from .application import is_framework
from .deciding import SAVES, decides
from .exemptions import standing_behind

logger = logging.getLogger("readonly_router")

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "skipped_in_read_only"
# Where the task objects of queues keep the function that their workers call. Huey's keep it out of reach.
_TASKS = {
    "celery.app.task.Task": "run",
    "dramatiq.actor.Actor": "fn",
    "django.tasks.base.Task": "func",
    "django_tasks.base.Task": "func",
    "django_tasks.task.Task": "func",
}


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
    if not _is_function(function):
        raise ConfigurationError(
            f"@skip_in_read_only stands above {function!r}, which is no function; put it below what made that."
        )
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
    # Asked of the object: Celery's may be a proxy.
    kinds = () if isinstance(found, type) else found.__class__.__mro__
    return next(filter(None, (_TASKS.get(f"{kind.__module__}.{kind.__qualname__}") for kind in kinds)), "")


def _is_function(found: Any) -> bool:
    """Return whether an object is a function, a method or a functools.partial, not another that can be called."""
    if isinstance(found, staticmethod | classmethod | functools.partial | MethodType):
        return True
    return callable(found) and not isinstance(found, type) and hasattr(type(found), "__get__")


def _set(owner: Any, name: str, value: Any) -> None:
    try:
        setattr(owner, name, value)
    except AttributeError:
        object.__setattr__(owner, name, value)  # a frozen dataclass, as Django's tasks are


# -- by dotted path, in anybody's code


def install(paths: Iterable[str] | None = None) -> None:
    """Wrap what READONLY_ROUTER_SKIP names, at its path and where a signal has it as a receiver. Idempotent.

    What cannot be skipped is logged, and who imported it by name before: a server runs no system checks.
    """
    replaced: dict[int, tuple[Any, Any]] = {}
    for path in conf.skipped() if paths is None else paths:
        if says := wrong(path) or (guarded(path) if paths is None else ""):
            logger.warning("%s Nothing is skipped for it.", says)
        elif pair := _install(*locate(path)):
            replaced[id(pair[0])] = pair
    if replaced:
        for _, signal in signals():
            _reconnect(signal, replaced)
        for says in too_late() if paths is None else ():
            logger.warning("%s", says)


def _install(owner: Any, name: str, found: Any) -> tuple[Any, Any] | None:
    """Wrap one function where it is; return it and its wrapper, as a receiver is found and replaced."""
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


def too_late() -> Iterator[str]:
    """Return for each path which other modules have the function as it was before it was wrapped."""
    plain: dict[int, str] = {}
    for path in conf.skipped():
        if not (wrong(path) or guarded(path)):
            owner, _, found = locate(path)
            if isinstance(owner, ModuleType) and _is_function(found):
                plain[id(found.__wrapped__ if getattr(found, _MARK, False) else found)] = path
    for module, name, value in _globals() if plain else ():
        if (path := plain.get(id(value), "")) and path != f"{module}.{name}":
            yield (
                f"READONLY_ROUTER_SKIP names {path!r} too late for {module}, which has it as {name!r} and goes on "
                "calling it; decorate it with @skip_in_read_only where it is defined, or import it later."
            )


def wrong(path: str) -> str:
    """Return why a path cannot be skipped; empty when it can."""
    try:
        _, _, found = locate(path)
    except ConfigurationError as error:
        return str(error)
    if not (_function_of(found) or _is_function(found)):
        return f"READONLY_ROUTER_SKIP names {path!r}, which is no function; name a function or a method."
    return ""


def guarded(path: str) -> str:
    """Return why a path may not be skipped although it could be; empty when it may.

    What a framework does may be what protects the site: skipping a method of Django's switched off CSRF.
    """
    owner, name, found = (None, "", None) if wrong(path) else locate(path)
    if is_framework(path) or any(map(is_framework, _homes(owner, name, found))):
        return (
            f"READONLY_ROUTER_SKIP names {path!r}, which is of a framework and may be what protects the site "
            "(without it CSRF tokens or permissions are not checked); name the function of yours that writes."
        )
    # Of a task nobody waits for an answer.
    task = found is None or _function_of(found)
    if not task and (is_what := decides(path, owner, found)):
        return (
            f"READONLY_ROUTER_SKIP names {path!r}, which is {is_what}; move what it writes into a function on "
            "whose answer and errors nothing depends, and decorate that with @skip_in_read_only."
        )
    return ""


def is_allowed(path: str, code: CodeType) -> bool:
    """Return whether a path leads to the function of that code, and may be skipped."""
    if wrong(path) or guarded(path):
        return False
    return any(getattr(each, "__code__", None) is code for each in standing_behind(locate(path)[2]))


def _homes(owner: Any, name: str, found: Any) -> Iterator[str]:
    """Return the modules in which an owner and a function are really defined."""
    plain = getattr(found, "__func__", found)
    if isinstance(owner, type):
        yield owner.__module__
    # A model's own save() is Django's function, in a class that is not.
    if hasattr(plain, "__qualname__") and not (isinstance(owner, type) and name in SAVES):
        yield str(plain.__module__)


# -- who refers to it already


def _globals() -> Iterator[tuple[str, str, Any]]:
    """Return what the modules that are loaded have by name."""
    for module, found in list(sys.modules.items()):
        for name, value in list(getattr(found, "__dict__", {}).items()):
            yield module, name, value


def signals() -> Iterator[tuple[str, Signal]]:
    """Return the signals of all modules by their names."""
    # By its type: a lazy object, asked for its class, would load what it stands for.
    return ((name, value) for _, name, value in _globals() if issubclass(type(value), Signal))


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
