"""What pages of the tests write while they are read, as real sites do: counters, stamps, receivers, tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import F
from django.dispatch import Signal, receiver

from readonly_router.http.skipping import skip_in_read_only
from tests.example.shop.models import PageView, Tag

page_read = Signal()


def count(path: str) -> None:
    """Write two rows, below whatever called it."""
    PageView.objects.get_or_create(path=path)
    PageView.objects.filter(path=path).update(hits=F("hits") + 1)


def count_twice(path: str) -> None:
    for _ in range(2):
        count(path)


async def acount(path: str) -> None:
    await PageView.objects.acreate(path=path)


@receiver(page_read)
def note_reading(path: str, **_: Any) -> None:
    count(path)


def announce(path: str) -> None:
    page_read.send(sender=None, path=path)


class Recorder:
    """What writes as a method of each kind."""

    def record(self) -> None:
        count("method")

    @classmethod
    def record_for_all(cls) -> None:
        count("class")

    @staticmethod
    def record_anywhere() -> None:
        count("static")

    async def arecord(self) -> None:
        await acount("async method")

    def handle(self, **_: Any) -> None:
        count("bound")


class Task:
    """Celery's tasks by their name and shape: an object that is called, and whose run() does the work."""

    __module__ = "celery.app.task"

    def __init__(self, function: Callable[..., Any]) -> None:
        self.run = function

    def __call__(self, *args: Any) -> Any:
        return self.run(*args)

    def delay(self, *args: Any) -> Any:
        return self(*args)


@Task
def count_later(path: str) -> None:
    count(path)


@skip_in_read_only(returning=0)
def hits_of(path: str) -> int:
    count(path)
    return PageView.objects.get(path=path).hits


@skip_in_read_only
def note_visit(path: str) -> str:
    count(path)
    return "counted"


def lazy_tag() -> Tag:
    return Tag.objects.create(name="lazy")
