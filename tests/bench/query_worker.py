"""One process of one variant: times queries of a small model, each by itself."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import django

from tests.bench.workers import serve

# Woken from its sleep, a process runs its first queries with cold caches.
WARM_UP = 5


def main() -> None:
    django.setup()
    if os.environ.get("BENCH_STATE"):
        _use_replica()
    serve(
        {
            "migrate": _migrate,
            "provision": _provision,
            "rows": _rows,
            "fill": _fill,
            "ready": _ready,
            "get": _get,
            "save": _save,
            "block": _block,
        }
    )


def _use_replica() -> None:
    # What django-replicated's middleware does for a GET.
    from django.db import router

    router.routers[0].init(os.environ["BENCH_STATE"])


def _migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _provision() -> None:
    from readonly_router.databases import parse_url
    from readonly_router.roles.provision import provision, target_for

    provision(target_for("default", admin=parse_url(os.environ, "BENCH_ADMIN_URL")))


def _rows(count: int) -> None:
    from tests.example.shop.models import PageView

    PageView.objects.bulk_create(PageView(pk=key, path=f"/{key}") for key in range(1, count + 1))


def _fill() -> None:
    from tests.example.shop.content import fill

    fill()


def _ready() -> None:
    gc.collect()
    gc.freeze()


def _get(key: int, count: int) -> dict[str, float]:
    from tests.example.shop.models import PageView

    return timed(lambda: PageView.objects.get(pk=key), count)


def _block(key: int, count: int) -> dict[str, float]:
    from django.db import transaction

    from tests.example.shop.models import PageView

    def block() -> None:
        with transaction.atomic():
            PageView.objects.get(pk=key)

    return timed(block, count)


def _save(key: int, count: int) -> dict[str, float]:
    from tests.example.shop.models import PageView

    page = PageView.objects.get(pk=key)
    return timed(page.save, count)


def timed(act: Callable[[], Any], count: int, *, pause: float = 0.0) -> dict[str, float]:
    """Return the median and the least of the times of an act, and its mean processor time; microseconds.

    The median leaves out what other processes of the machine took, the least also on a busy one; the mean holds
    the garbage collector's share.
    """
    for _ in range(WARM_UP):
        act()
    gc.collect()
    times = []
    processor = time.process_time_ns()
    for _ in range(count):
        if pause:
            time.sleep(pause)
        began = time.perf_counter_ns()
        act()
        times.append(time.perf_counter_ns() - began)
    processor = time.process_time_ns() - processor
    return {"wall": median(times) / 1000, "least": min(times) / 1000, "processor": processor / count / 1000}


if __name__ == "__main__":
    main()
