"""What does nothing in read-only mode: by decorator in one's own code, by dotted path in anybody's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.db.models.signals import post_init
from django.dispatch import Signal
from django.test import Client

from readonly_router import ReadOnlyError, disable_writes, enable_writes, read_only
from readonly_router.errors import ConfigurationError
from readonly_router.http import skipping
from readonly_router.http.skipping import skip_in_read_only
from tests.example.shop.models import PageView, Tag
from tests.http.pages import counters
from tests.http.pages.counters import Recorder, Task


def hits() -> int:
    return sum(PageView.objects.values_list("hits", flat=True))


@pytest.fixture(autouse=True)
def shop_as_before(shop: None) -> None:
    """Writes of normal mode are put back."""


# By decorator.


class Decorated:
    """Every kind of method, with the decorator above and below Python's own."""

    @skip_in_read_only(returning="nobody")
    def plain(self) -> str:
        counters.count("plain")
        return type(self).__name__

    @skip_in_read_only
    @classmethod
    def above_class(cls) -> str:
        return cls.__name__

    @classmethod
    @skip_in_read_only
    def below_class(cls) -> str:
        return cls.__name__

    @skip_in_read_only(returning=0)
    @staticmethod
    def above_static(number: int) -> int:
        return number

    @staticmethod
    @skip_in_read_only(returning=0)
    def below_static(number: int) -> int:
        return number

    @skip_in_read_only(returning="later")
    async def later(self) -> str:
        return "now"


class Heir(Decorated):
    """A class that inherits what is skipped."""


KINDS: dict[str, tuple[Callable[[], Any], Any, Any]] = {
    "function": (lambda: counters.note_visit("/"), "counted", None),
    "function with a return value": (lambda: counters.hits_of("/"), 1, 0),
    "method": (lambda: Heir().plain(), "Heir", "nobody"),
    "class method, above": (Heir.above_class, "Heir", None),
    "class method, below": (Heir.below_class, "Heir", None),
    "static method, above": (lambda: Decorated.above_static(3), 3, 0),
    "static method, below": (lambda: Decorated().below_static(3), 3, 0),
    "async method": (async_to_sync(Decorated().later), "now", "later"),
}


@pytest.mark.parametrize(("call", "done", "skipped"), KINDS.values(), ids=list(KINDS))
def test_a_decorated_function_of_each_kind_is_skipped(call: Callable[[], Any], done: Any, skipped: Any) -> None:
    disable_writes()

    assert call() == skipped


@pytest.mark.parametrize(("call", "done", "skipped"), KINDS.values(), ids=list(KINDS))
def test_a_decorated_function_of_each_kind_works_in_normal_mode(
    call: Callable[[], Any], done: Any, skipped: Any
) -> None:
    assert call() == done


def test_a_scope_skips_too() -> None:
    with read_only():
        assert counters.note_visit("/") is None

    assert counters.note_visit("/") == "counted"


def test_a_decorated_function_keeps_its_name_and_kind() -> None:
    assert counters.note_visit.__name__ == "note_visit"
    assert iscoroutinefunction(Decorated.later)
    assert not iscoroutinefunction(Decorated.plain)


def test_a_refusal_that_is_the_news_of_the_switch_skips_too() -> None:
    @skip_in_read_only(returning="skipped")
    def learn() -> None:
        disable_writes()
        Tag.objects.create(name="door")

    @skip_in_read_only(returning="skipped")
    async def alearn() -> None:
        disable_writes()
        await Tag.objects.acreate(name="door")

    assert learn() == "skipped"
    enable_writes()
    assert async_to_sync(alearn)() == "skipped"


def test_a_refusal_of_normal_mode_is_raised() -> None:
    @skip_in_read_only
    def write() -> None:
        with read_only():
            Tag.objects.create(name="door")

    with pytest.raises(ReadOnlyError):
        write()


def test_a_decorated_receiver_is_skipped() -> None:
    signal = Signal()

    @skip_in_read_only(returning="skipped")
    def receive(**_: Any) -> str:
        return "received"

    signal.connect(receive)
    disable_writes()

    assert [answer for _, answer in signal.send(sender=None)] == ["skipped"]


def test_a_decorated_task_stays_a_task() -> None:
    task = skip_in_read_only(returning="skipped")(Task(lambda: "done"))
    disable_writes()

    assert isinstance(task, Task)
    assert (task.delay(), task()) == ("skipped", "skipped")


def test_what_is_no_function_is_not_taken_for_one() -> None:
    class Other:
        run = fn = func = staticmethod(lambda: None)

        def __call__(self) -> None:
            pass

    for other in (Other(), Other):
        with pytest.raises(ConfigurationError, match="which is no function; put it below what made that"):
            skip_in_read_only(other)


# On pages.


def test_a_page_whose_receiver_is_skipped_can_be_read(pages: None) -> None:
    plain = counters.note_reading
    skipping.install(["tests.http.pages.counters.note_reading"])
    disable_writes()
    try:
        assert Client().get("/receiver/").status_code == 200
        enable_writes()
        Client().get("/receiver/")
        assert hits() == 1
    finally:
        counters.page_read.disconnect(counters.note_reading)
        counters.note_reading = plain
        counters.page_read.connect(plain)


def test_a_write_on_reading_a_row_can_be_skipped() -> None:
    def stamp(instance: Tag, **_: Any) -> None:
        counters.count(instance.name)

    stamp_quietly = skip_in_read_only(stamp)
    post_init.connect(stamp_quietly, sender=Tag)
    try:
        disable_writes()
        assert Tag.objects.count() == len(list(Tag.objects.all()))
    finally:
        post_init.disconnect(stamp_quietly, sender=Tag)


def test_a_partial_is_wrapped_whole() -> None:
    counted = skip_in_read_only(functools.partial(counters.count, "/"))
    disable_writes()

    assert counted() is None


def test_methods_of_a_class_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("record", "record_for_all", "record_anywhere", "arecord"):
        monkeypatch.setattr(Recorder, name, vars(Recorder)[name])
        skipping.install([f"tests.http.pages.counters.Recorder.{name}"])
    disable_writes()

    Recorder().record()
    Recorder.record_for_all()
    Recorder.record_anywhere()
    async_to_sync(Recorder().arecord)()

    assert PageView.objects.count() == 0
