"""Thousands of requests that differ in all that a stranger may choose: what the process remembers stays small."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

import pytest
from django.core.cache import cache
from django.test import Client, override_settings

from readonly_router import disable_writes
from readonly_router.http import refused
from tests.http.pages.engines import NAME
from tests.security.strangers import site as site  # noqa: PLC0414 - a fixture

REQUESTS = 2_000
CACHE = type(lru_cache(len))
CONTAINERS = (dict, list, set, deque, WeakSet, WeakKeyDictionary, WeakValueDictionary)


def remembered() -> dict[str, int]:
    """Return the size of everything that the package keeps beside its code, by name."""
    return {name: size for name, value in stores() if (size := size_of(value)) is not None}


def stores() -> Iterator[tuple[str, Any]]:
    for module in [name for name in sys.modules if name.partition(".")[0] == "readonly_router"]:
        for name, value in list(vars(sys.modules[module]).items()):
            if not name.startswith("__"):
                yield f"{module}.{name}", value
        for kind in [each for each in vars(sys.modules[module]).values() if isinstance(each, type)]:
            yield from ((f"{module}.{kind.__name__}.{name}", value) for name, value in vars(kind).items())


def size_of(value: Any) -> int | None:
    # By its type: a lazy object would load what it stands for.
    if issubclass(type(value), CACHE):
        return int(value.cache_info().currsize)
    return len(value) if issubclass(type(value), CONTAINERS) else None


def test_every_cache_of_the_package_has_a_bound() -> None:
    caches = {name: value for name, value in stores() if issubclass(type(value), CACHE)}

    assert caches
    assert [name for name, value in caches.items() if value.cache_info().maxsize is None] == []


@pytest.mark.usefixtures("site")
@override_settings(READONLY_ROUTER_UNSAFE_METHODS="attempt")
def test_what_is_remembered_stays_small_whatever_is_requested(caplog: pytest.LogCaptureFixture) -> None:
    disable_writes()
    client = Client(raise_request_exception=False)
    sizes = []
    for number in range(REQUESTS + 20):
        if number == 20:  # the first of each kind may be remembered
            sizes.append((remembered(), len(cache._cache)))  # type: ignore[attr-defined]  # within the process
        client.cookies.clear()
        client.cookies[NAME] = f"{number:x}" * 8
        path = ("/service/{0}{1}/", "/view/?{0}/{1}/", "/{0}/{1}", "/flush/?{0}", "/leave/?{0}")[number % 5]
        client.generic(
            ("GET", f"M{number}", "POST", "GET", "GET")[number % 5],
            path.format("x" * (number % 500), number),
            f"body={number}",
            f"text/x-{number}",
            headers={
                "Origin": f"https://{number}.example",
                "Referer": f"https://{number}.example/{number}",
                "Accept": f"text/html;q=0.{number}, x/{number}",
                "Accept-Language": f"x{number}",
                "User-Agent": f"agent {number}",
                "HX-Target": f"t{number}",
            },
        )
    sizes.append((remembered(), len(cache._cache)))  # type: ignore[attr-defined]  # as above

    assert sizes[0] == sizes[1]
    assert len(refused.known()) < 5
    assert len([record for record in caplog.records if record.name == "readonly_router.refused"]) < 5
