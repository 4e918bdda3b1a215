"""Which functions may not do nothing: what answers, what lets in or keeps out, and what others are called through.

What can be read off a function is refused; nothing here says that any other may be skipped.
"""

from __future__ import annotations

import dis
import re
from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR
from types import CodeType, ModuleType
from typing import Any
from weakref import ReferenceType

from django.contrib.auth.signals import user_login_failed
from django.views import View

from .. import conf
from .application import is_framework
from .exemptions import standing_behind

# Words of a name, also with -s, -d, -ed or -ing: of what is asked, lets in or out, or counts against somebody.
_WORDS = (
    "abort|allow|assert|attempt|authenticate|authentication|authorize|authorization|ban|captcha|check|clean|confirm|"
    "consume|deny|denie|enforce|ensure|fail|failure|forbid|guard|limit|lock|lockout|match|otp|password|perm|"
    "permission|permit|prevent|protect|quota|redeem|refuse|reject|require|restrict|throttle|throttl|token|valid|"
    "validate|validator|verify|verifie"
)
_DECIDING = re.compile(rf"(?:{_WORDS})(?:s|e?d|ing)?")
_ASKING = frozenset({"is", "has", "can", "may", "must", "should", "test"})
# Of table names, where words are not parted.
_COUNTED_AGAINST = re.compile(r"attempt|fail|lock|throttl|limit|otp|token")
_OF_MIDDLEWARE = re.compile(r"process_(?:request|view|template_response|response|exception)")
# What applications call on a model; nothing is returned.
SAVES = frozenset({"save", "asave"})
# What leaves something behind that a caller may look at.
_CHANGING = frozenset({"STORE_ATTR", "STORE_SUBSCR", "STORE_GLOBAL", "DELETE_ATTR", "DELETE_SUBSCR"})


def decides(path: str, owner: Any, found: Any) -> str:
    """Return what a function is that may not be skipped; empty where nothing tells that it decides."""
    name = path.rpartition(".")[2]
    kind = _kind(owner)
    codes = [each.__code__ for each in standing_behind(found) if hasattr(each, "__code__")]
    codes = [] if kind and is_framework(getattr(found, "__module__", "")) else codes
    if name.startswith("__") and name.endswith("__"):
        return "a method that Python itself calls, as it makes, enters or calls an object"
    if _is_of_middleware(path, kind):
        return "a part of a middleware, which must answer"
    if kind and (_overrides(kind, name) or (issubclass(kind, View) and name in View.http_method_names)):
        return "a method that a framework calls for its result"
    if word := word_of(name) or (word_of(kind.__qualname__) if kind else ""):
        return f"by its name ({word}) a function that decides something or counts against somebody"
    if any(code.co_flags & (CO_GENERATOR | CO_ASYNC_GENERATOR) for code in codes):
        return "a generator or a context manager"
    if any(map(_wraps_queries, codes)):
        return "an execute wrapper, through which each query goes"
    if any(_parameters(code)[:1] == ["request"] and _returns(code) for code in codes):
        return "a function that answers for a request"
    if any(map(_raises, codes)):
        return "a function that raises, and so keeps something from happening"
    return "a receiver of user_login_failed, which counts wrong passwords" if _hears_of_failures(found) else ""


def _kind(owner: Any) -> type | None:
    return owner if isinstance(owner, type) else None if isinstance(owner, ModuleType) else type(owner)


def word_of(name: str) -> str:
    """Return the word of a name that tells of a decision, if there is one."""
    words = _words(name)
    return next((word for word in words if _DECIDING.fullmatch(word)), words[0] if asks(name) else "")


def asks(name: str) -> bool:
    """Return whether a name begins as a question."""
    return _words(name)[:1] != [] and _words(name)[0] in _ASKING


def may_have_been_waited_for(code: CodeType, table: str) -> bool:
    """Return whether what a receiver does may matter although nobody reads its answer."""
    called = (name for name in code.co_names if not asks(name))
    changes = "setattr" in code.co_names or any(each.opname in _CHANGING for each in dis.get_instructions(code))
    return changes or any(map(word_of, called)) or bool(_COUNTED_AGAINST.search(table.lower()))


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+", name)]


def _is_of_middleware(path: str, kind: type | None) -> bool:
    own = f"{kind.__module__}.{kind.__qualname__}." if kind else path
    listed = conf.of_the_project("MIDDLEWARE", ())
    named = any(f"{each}." in (own, f"{path}.") or path.startswith(f"{each}.") for each in listed)
    return named or bool(kind and _OF_MIDDLEWARE.fullmatch(path.rpartition(".")[2]))


def _overrides(kind: type, name: str) -> bool:
    """Return whether a framework's base has a method of that name; a model's save() is called by applications."""
    bases = [each for each in kind.__mro__ if is_framework(each.__module__) and name in vars(each)]
    return any(each.__module__ != "django.db.models.base" or name not in SAVES for each in bases)


def _parameters(code: CodeType) -> list[str]:
    return [name for name in code.co_varnames[: code.co_argcount] if name not in ("self", "cls")]


def _wraps_queries(code: CodeType) -> bool:
    names = _parameters(code)
    return names[:1] == ["execute"] or names[1:] == ["sql", "params", "many", "context"]


def _returns(code: CodeType) -> bool:
    """Return whether a function may return anything but None."""
    before: Any = None
    for each in dis.get_instructions(code):
        if each.opname in ("RETURN_VALUE", "RETURN_CONST"):
            value = each if each.opname == "RETURN_CONST" else before
            if value.argval is not None or not value.opname.endswith("_CONST"):
                return True
        before = before if each.opname == "NOP" else each
    return False


def _raises(code: CodeType) -> bool:
    # Without an argument it is one of another's that goes up.
    return any(each.opname == "RAISE_VARARGS" and each.arg for each in dis.get_instructions(code))


def _hears_of_failures(found: Any) -> bool:
    behind = [*standing_behind(found)]
    entries = [entry[1] for entry in user_login_failed.receivers]
    connected = [each() if isinstance(each, ReferenceType) else each for each in entries]
    return any(getattr(each, "__func__", each) in behind for each in connected if each is not None)
