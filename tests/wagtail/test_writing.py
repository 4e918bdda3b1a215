"""Every POST of the corpus is refused, and none answers as if it had been done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from readonly_router import ReadOnlyError, disable_writes
from tests.wagtail.conftest import Normally
from tests.wagtail.posts import POSTS, Post

# Views that meet the refusal themselves, and what they answer.
HANDLED: dict[str, int] = {}

# Files stand outside PostgreSQL: these were stored before their row was refused.
LEAVES_FILES: set[str] = set()


@pytest.mark.parametrize(("name", "post"), POSTS.items(), ids=POSTS)
def test_a_post_is_refused_and_leaves_the_data_as_it_was(
    name: str,
    post: Post,
    site: dict[str, Any],
    visit: Callable[[str], Client],
    normally: Normally,
    checksum: Callable[[], str],
    media: Callable[[], set[str]],
) -> None:
    path = post.path.format(**site)
    held, _ = normally(lambda: post.held(visit(post.user), site))
    answer, wrote = normally(lambda: visit(post.user).post(path, {**held, **post.written(site)}))
    assert (answer.status_code < 400, wrote) == (True, True), answer.content[:2000]
    before, files = checksum(), media()

    disable_writes()
    outcome: Any = None
    try:
        outcome = visit(post.user).post(path, {**held, **post.written(site)}).status_code
    except ReadOnlyError as error:
        assert error.sqlstate in ("25006", "42501")

    assert checksum() == before
    assert outcome == HANDLED.get(name)
    assert bool(media() - files) == (name in LEAVES_FILES)
