"""What decides something under many names and shapes, and what only notes something beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.signals import user_login_failed
from django.db import models
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.views.generic import TemplateView


def authenticate(code: str) -> None: ...


def has_object_permission(row: Any) -> None: ...


def may_edit(row: Any) -> None: ...


def test_func(user: Any) -> None: ...


def lockedOut(user: Any) -> None: ...  # noqa: N802 - as some write names


class SlowThrottle:
    def hit(self) -> None: ...


throttle = SlowThrottle()


class Page(TemplateView):
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse()

    def post(self) -> None: ...

    def count_reading(self) -> None: ...


class Row(models.Model):
    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        return super().delete(*args, **kwargs)


class Seen:
    def process_view(self, request: HttpRequest, *args: Any) -> None: ...

    def touch(self) -> None: ...


def seen(get_response: Any) -> Any:
    return get_response


class Log:
    def query(self, execute: Any, statement: str, *rest: Any) -> Any:
        return execute(statement, *rest)


def tag(run: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    return run(f"{sql} -- tag", params, many, context)


async def ask(request: HttpRequest) -> bool:
    return True


def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def around(view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def within(*args: Any) -> Any:
        return view(*args)

    return within


@around
def decorated(request: HttpRequest) -> HttpResponse:
    return answer(request)


def track(request: HttpRequest) -> None:
    if not request.path:
        return
    str(request)


def keeps_out(user: Any) -> None:
    if user is None:
        raise ValueError


def insists(user: Any) -> None:
    assert user


@receiver(user_login_failed)
def note_the_wrong(**_: Any) -> None: ...


class Task:
    __module__ = "celery.app.task"

    def __init__(self, function: Callable[..., Any]) -> None:
        self.run = function


clean_later = Task(keeps_out)
