"""What a project has of its frameworks' under a name of its own, and what is really its own."""

from __future__ import annotations

import functools
from typing import Any

from django.contrib.auth.views import LoginView
from django.db import models
from django.middleware.csrf import CsrfViewMiddleware
from django.views.decorators.csrf import csrf_protect as csrf_protect  # noqa: PLC0414 - known by this name too
from rest_framework.views import APIView

from tests.example.shop.models import Tag


class OurCsrf(CsrfViewMiddleware):
    """As a project derives from it."""

    def stamp(self) -> None:
        Tag.objects.create(name="stamp")


class OurApi(APIView):
    """As a project derives from it."""


class OurLogin(LoginView):
    """As a project derives from it."""


class OurModel(models.Model):
    """A model that has Django's own save()."""

    class Meta:
        abstract = True


class Task:
    """Where a queue keeps its task."""

    __module__ = "celery.app.task"

    def __init__(self, function: Any) -> None:
        self.run = function

    def __call__(self) -> Any:
        return self.run()


def write(name: str) -> None:
    Tag.objects.create(name=name)


half = functools.partial(write, "half")
Task.task = Task(write)  # type: ignore[attr-defined]  # an object where a function may be named
