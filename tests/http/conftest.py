"""The example site as its operators use it: one database for all, and servers of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.http.operating import THREADS, Visitor, open_by_hand, operated, served, signed_in
from tests.site import Site

Serve = Callable[..., str]


# Not of the session: it is a pair of this process's settings as long as it is there.
@pytest.fixture(scope="module")
def operated_site(server: str) -> Iterator[Site]:
    with operated(server) as made:
        yield made


@pytest.fixture(scope="module")
def servers(operated_site: Site) -> Iterator[Serve]:
    """Start a server of a kind once, and return its address."""
    addresses: dict[Any, str] = {}
    with ExitStack() as stack:

        def serve(words: tuple[str, ...] = THREADS, **env: str) -> str:
            key = (words, *env.items())
            if key not in addresses:
                addresses[key] = stack.enter_context(served(operated_site, words, **env))
            return addresses[key]

        yield serve


@pytest.fixture
def made(operated_site: Site) -> Iterator[Site]:
    """The site, writable and without a history when a test begins."""
    yield operated_site
    open_by_hand(operated_site)


@pytest.fixture
def serving(servers: Serve, made: Site) -> Serve:
    return servers


@pytest.fixture
def address(serving: Serve) -> str:
    return serving()


@pytest.fixture
def admin(address: str) -> Visitor:
    return signed_in(address, "admin")
