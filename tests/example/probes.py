"""What a process of the site is asked to do while the switch is thrown, and how it answers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.db import Error, connection, transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from readonly_router import (
    ReadOnlyError,
    SessionEndedError,
    Status,
    allow_in_read_only,
    get_status,
    is_read_only,
    read_only_changed,
    writable,
)
from tests.example.shop.models import Product, Tag

Told = dict[str, Any]

# The folder through which a slow task says that it began, and is told to go on.
FOLDER_VARIABLE = "EXAMPLE_PROBES"
SECONDS = 30.0

# What the process was told of the switch, in order.
changes: list[bool] = []


def note(*, read_only: bool, **_: Any) -> None:
    changes.append(read_only)


read_only_changed.connect(note, sender=Status)


def answer(task: str, name: str = "") -> Told:
    """Do a task and tell what came of it: done, refused (a typed refusal), or failed."""
    try:
        return {"outcome": "done", **TASKS[task](name)}
    except Error as error:
        return told(error)


def told(error: Error) -> Told:
    if isinstance(error, SessionEndedError):
        return {"outcome": "ended", "error": str(error)}
    if isinstance(error, ReadOnlyError):
        return {"outcome": "refused", "error": str(error), "sqlstate": error.sqlstate}
    return {"outcome": "failed", "error": f"{type(error).__name__}: {error}"}


def read(_name: str = "") -> Told:
    """Read through the router, by the writer's alias, through a server-side cursor and through a plain one."""
    counted = Product.objects.count()
    named = len(list(Product.objects.using("default").order_by("pk")))
    streamed = len(list(Product.objects.order_by("pk").iterator(chunk_size=5)))
    return {"read": [counted, named, streamed], **session()}


def session() -> Told:
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_user, pg_backend_pid()")
        user, process = cursor.fetchone()
    return {"user": user, "backend": process}


def write(name: str) -> Told:
    return {"wrote": Tag.objects.create(name=name).name}


def through(name: str) -> Told:
    """Write although the switch is on."""
    with writable():
        return write(name)


def status(_name: str = "") -> Told:
    found = get_status()
    return {
        "read_only": is_read_only(),
        "source": found.source,
        "reason": found.reason,
        "by": found.by,
        "since": found.since and found.since.isoformat(),
        "eta": found.eta and found.eta.isoformat(),
    }


def heard(_name: str = "") -> Told:
    """Return what was signalled to this process since it began."""
    return {"changes": list(changes)}


def slow(name: str) -> Told:
    """Write, wait to be told to go on, and write again; then read."""
    first = answer("write", f"{name} 1")
    begin(name)
    while not may_go_on(name):
        time.sleep(0.01)
    return {"first": first, "second": answer("write", f"{name} 2"), "last": answer("read")}


def block(name: str) -> Told:
    """Do the same in one transaction."""
    with transaction.atomic():
        return slow(name)


TASKS: dict[str, Callable[[str], Told]] = {
    "read": read,
    "write": write,
    "through": through,
    "status": status,
    "heard": heard,
    "slow": slow,
    "block": block,
}


def begin(name: str) -> None:
    Path(os.environ[FOLDER_VARIABLE], f"{name} began").touch()


def may_go_on(name: str) -> bool:
    began, go = (Path(os.environ[FOLDER_VARIABLE], f"{name} {word}") for word in ("began", "go"))
    return go.exists() or time.time() - began.stat().st_mtime > SECONDS


# -- views


# What PostgreSQL refuses is asked here, not what the middleware answers before it.
@allow_in_read_only
@csrf_exempt
def probe(request: HttpRequest, task: str) -> JsonResponse:
    return JsonResponse(answer(task, request.GET.get("name", "")))


# Django runs no async view inside ATOMIC_REQUESTS.
@transaction.non_atomic_requests
# What PostgreSQL refuses is asked here, not what the middleware answers before it.
@allow_in_read_only
@csrf_exempt
async def probe_async(request: HttpRequest, task: str) -> JsonResponse:
    """Do the same through Django's asynchronous interfaces, where there are some."""
    try:
        found = await ASYNC_TASKS[task](request.GET.get("name", ""))
    except Error as error:
        return JsonResponse(told(error))
    return JsonResponse({"outcome": "done", **found})


async def read_async(_name: str = "") -> Told:
    counted = await Product.objects.acount()
    named = len([product async for product in Product.objects.using("default").order_by("pk")])
    streamed = len([product async for product in Product.objects.order_by("pk").aiterator(chunk_size=5)])
    return {"read": [counted, named, streamed], **await sync_to_async(session)()}


async def write_async(name: str) -> Told:
    return {"wrote": (await Tag.objects.acreate(name=name)).name}


async def slow_async(name: str) -> Told:
    first = await sync_to_async(answer)("write", f"{name} 1")
    begin(name)
    while not may_go_on(name):
        await asyncio.sleep(0.01)
    second = await sync_to_async(answer)("write", f"{name} 2")
    return {"first": first, "second": second, "last": await sync_to_async(answer)("read")}


ASYNC_TASKS: dict[str, Callable[[str], Any]] = {
    "read": read_async,
    "write": write_async,
    "status": sync_to_async(status),
    "heard": sync_to_async(heard),
    "slow": slow_async,
    "block": sync_to_async(block),
}
