"""What does nothing in read-only mode by its dotted path, in anybody's code, and where that comes too late."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils.functional import SimpleLazyObject

from readonly_router import disable_writes
from readonly_router.checks.pairs import check_skipped
from readonly_router.checks.site import check_site
from readonly_router.errors import ConfigurationError
from readonly_router.http import skipping

MODULE = "tests_http_of_somebody_else"
USERS = "tests_http_that_imports_by_name"
SOURCE = """
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from django.dispatch import Signal, receiver

done = []
signal = Signal()

def function(word="function"):
    done.append(word)
    return word

async def coroutine():
    done.append("coroutine")

@receiver(signal)
def connected_before(**_):
    done.append("connected before")

def connected_strongly(**_):
    done.append("connected strongly")

def connected_after(**_):
    done.append("connected after")

def connected_by_name(**_):
    done.append("connected by name")

def named(**_):
    done.append("named")

class Kind:
    def method(self, **_):
        done.append("method")

    def bound(self):
        done.append("bound")

    @classmethod
    def of_the_class(cls):
        done.append(cls.__name__)

    @staticmethod
    def of_nobody():
        done.append("static")

class Heir(Kind):
    pass

class Task:
    __module__ = "celery.app.task"
    def __init__(self, function):
        self.run = function
    def __call__(self):
        return self.run()

class Registered(Task):
    pass

class Proxy:
    __class__ = property(lambda self: Registered)
    def __setattr__(self, name, value):
        setattr(proxied, name, value)
    def __getattr__(self, name):
        return getattr(proxied, name)

@dataclass(frozen=True)
class Frozen:
    func: Callable

    def call(self):
        return self.func()

Frozen.__module__, Frozen.__qualname__ = "django.tasks.base", "Task"

class Actor:
    __module__ = "dramatiq.actor"
    def __init__(self, function):
        self.fn = function

class Runner:
    def __init__(self):
        self.run = self.fn = self.func = lambda: done.append("runner")
    def __call__(self):
        return self.run()

task = Task(lambda: done.append("task"))
proxied = Registered(lambda: done.append("proxied"))
proxy = Proxy()
frozen = Frozen(lambda: done.append("frozen"))
actor = Actor(lambda: done.append("actor"))
runner = Runner()
instance = Kind()
signal.connect(connected_strongly, weak=False)
signal.connect(named, dispatch_uid="a name")
signal.connect(instance.method)
CONSTANT = 1
"""


@pytest.fixture
def theirs() -> Iterator[types.ModuleType]:
    """A module of somebody else's, and one that imported from it by name."""
    module, users = types.ModuleType(MODULE), types.ModuleType(USERS)
    sys.modules.update({MODULE: module, USERS: users})
    exec(SOURCE, vars(module))  # as an import would
    exec(f"from {MODULE} import function, function as other, Kind", vars(users))
    yield module
    del sys.modules[MODULE], sys.modules[USERS]


def paths(*names: str) -> list[str]:
    return [f"{MODULE}.{name}" for name in names]


CALLS: dict[str, Callable[[Any], Any]] = {
    "function": lambda module: module.function(),
    "coroutine": lambda module: asyncio.run(module.coroutine()),
    "Kind.method": lambda module: module.Kind().method(),
    "Heir.method": lambda module: module.Heir().method(),
    "Kind.of_the_class": lambda module: module.Heir.of_the_class(),
    "Kind.of_nobody": lambda module: module.Kind.of_nobody(),
    "instance.bound": lambda module: module.instance.bound(),
    # As Celery has them, Django and Dramatiq.
    "task": lambda module: module.task(),
    "proxy": lambda module: module.proxied(),
    "frozen": lambda module: module.frozen.call(),
    "actor": lambda module: module.actor.fn(),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_path_is_skipped(theirs: Any, name: str) -> None:
    skipping.install(paths(name))

    CALLS[name](theirs)
    assert len(theirs.done) == 1
    disable_writes()
    CALLS[name](theirs)
    assert len(theirs.done) == 1


def test_a_path_to_an_heir_leaves_its_base_alone(theirs: Any) -> None:
    skipping.install(paths("Heir.method"))
    disable_writes()

    theirs.Kind().method()

    assert theirs.done == ["method"]


def test_a_module_that_imported_it_before_is_left_alone_and_told_of(
    theirs: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.READONLY_ROUTER_SKIP = paths("function", "task", "Kind.method")
    skipping.install()
    says = [record.getMessage() for record in caplog.records]
    disable_writes()

    sys.modules[USERS].function()
    found = [(message.id, message.msg) for message in check_site() if message.id == "readonly_router.W033"]

    assert theirs.done == ["function"]
    assert found == [("readonly_router.W033", each) for each in says]
    assert [
        f"{MODULE}.function' too late for {USERS}, which has it as {name!r}" in each
        for name, each in zip(("function", "other"), says, strict=True)
    ] == [True, True]
    assert "decorate it with @skip_in_read_only where it is defined" in says[0]


def test_who_imports_it_afterwards_is_not_told_of(theirs: Any, settings: Any) -> None:
    settings.READONLY_ROUTER_SKIP = paths("coroutine")
    skipping.install()

    exec(f"from {MODULE} import coroutine", vars(sys.modules[USERS]))

    assert [message for message in check_site() if message.id == "readonly_router.W033"] == []


def test_where_it_is_defined_is_told_of_when_it_is_named_elsewhere(theirs: Any, settings: Any) -> None:
    settings.READONLY_ROUTER_SKIP = [f"{USERS}.function"]

    skipping.install()

    says = [message.msg for message in check_site() if message.id == "readonly_router.W033"]
    assert any(f"too late for {MODULE}, which has it as 'function'" in each for each in says)


@pytest.mark.parametrize(
    "name", ["connected_before", "connected_strongly", "named", "Kind.method"], ids=lambda name: name
)
def test_a_receiver_that_was_connected_before_is_skipped(theirs: Any, name: str) -> None:
    skipping.install(paths(name))
    theirs.signal.send(sender=None)
    normally = sorted(theirs.done)
    theirs.done.clear()
    disable_writes()

    theirs.signal.send(sender=None)

    assert normally == ["connected before", "connected strongly", "method", "named"]
    assert len(theirs.done) == 3


def test_a_receiver_that_is_connected_after_is_skipped(theirs: Any) -> None:
    skipping.install(paths("connected_after"))
    theirs.signal.connect(theirs.connected_after)
    disable_writes()

    theirs.signal.send(sender=None)

    assert "connected after" not in theirs.done


@pytest.mark.parametrize("name", ["connected_before", "Kind.method"])
def test_a_receiver_that_is_connected_again_is_called_once(theirs: Any, name: str) -> None:
    # Twice would be a wrong count in normal mode.
    skipping.install(paths(name))
    theirs.signal.connect(theirs.instance.method if name == "Kind.method" else theirs.connected_before)

    theirs.signal.send(sender=None)

    assert sorted(theirs.done) == ["connected before", "connected strongly", "method", "named"]


@pytest.mark.parametrize("name", ["connected_before", "Kind.method"])
def test_a_receiver_can_be_disconnected_by_its_name(theirs: Any, name: str) -> None:
    skipping.install(paths(name))

    assert theirs.signal.disconnect(theirs.instance.method if name == "Kind.method" else theirs.connected_before)


def test_a_receiver_with_a_name_of_its_own_keeps_it(theirs: Any) -> None:
    skipping.install(paths("named"))

    assert theirs.signal.disconnect(dispatch_uid="a name")


def test_an_object_that_was_to_be_forgotten_is_forgotten(theirs: Any) -> None:
    skipping.install(paths("Kind.method"))
    theirs.instance = None

    theirs.signal.send(sender=None)

    assert "method" not in theirs.done


def test_a_path_is_wrapped_once(theirs: Any) -> None:
    skipping.install(paths("function"))
    wrapper = theirs.function
    skipping.install(paths("function"))

    assert theirs.function is wrapper


def test_looking_for_who_imported_it_loads_nothing_lazy(theirs: Any) -> None:
    loaded: list[str] = []
    theirs.lazy = SimpleLazyObject(lambda: loaded.append("loaded"))

    skipping.install(paths("function"))

    assert loaded == []


# Paths that are none.


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("absent", "does not exist"),
        ("Kind.absent", "does not exist"),
        ("Absent.method", "does not exist"),
        ("Kind", "is no function"),
        ("CONSTANT", "is no function"),
        ("subprocess", "is no function"),
        ("runner", "is no function"),
    ],
)
def test_a_wrong_path_is_an_error_of_the_check(theirs: Any, name: str, says: str, settings: Any) -> None:
    settings.READONLY_ROUTER_SKIP = paths(name, "function")

    (message,) = check_skipped()

    assert (message.id, message.is_serious()) == ("readonly_router.E014", True)
    assert f"{MODULE}.{name}" in message.msg
    assert says in message.msg


@pytest.mark.parametrize("path", ["no_such_package.views.f", "f", "tests.http.pages.counters", "..", "tests..f"])
def test_a_path_that_leads_nowhere_is_an_error_of_the_check(path: str, settings: Any) -> None:
    settings.READONLY_ROUTER_SKIP = [path]

    (message,) = check_skipped()

    assert message.id == "readonly_router.E014"


def test_a_single_path_may_stand_without_a_list(theirs: Any, settings: Any) -> None:
    settings.READONLY_ROUTER_SKIP = f"{MODULE}.function"

    assert check_skipped() == []


def test_right_paths_are_no_finding(theirs: Any, settings: Any) -> None:
    settings.READONLY_ROUTER_SKIP = paths("function", "Kind.method", "task", "frozen", "Kind.of_nobody")

    assert check_skipped() == []


def test_a_wrong_path_is_logged_and_does_not_keep_the_others_from_being_skipped(
    theirs: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.READONLY_ROUTER_SKIP = paths("absent", "coroutine")
    skipping.install()
    assert [(record.name, record.levelname) for record in caplog.records] == [("readonly_router", "WARNING")]
    assert f"'{MODULE}.absent', which does not exist" in caplog.text
    assert "Nothing is skipped for it." in caplog.text
    disable_writes()

    asyncio.run(theirs.coroutine())

    assert theirs.done == []


def test_a_module_that_lacks_another_says_so(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needy_module.py").write_text("import needy")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="'needy'"):
        skipping.locate("needy_module.function")


def test_a_path_that_is_wrong_is_told_with_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"'shop\.absent', which does not exist; correct or remove it"):
        skipping.locate("shop.absent")
