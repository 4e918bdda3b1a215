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
HANDLED: dict[str, str | int] = {}

# Files stand outside PostgreSQL: these were stored before their row was refused.
LEAVES_FILES = {
    "upload a document",
    "upload an image",
    "upload an image in the chooser",
    "upload images",
    "replace an image",
}


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
    held, _ = normally(lambda: post.held(visit(post.user), site))
    answer, wrote = normally(lambda: post.send(visit(post.user), site, held))
    assert (answer.status_code < 400, wrote) == (True, True), answer.content[:2000]
    data, files = checksum(), media()

    disable_writes()
    outcome = refusal_or_status(post, visit(post.user), site, held)

    assert outcome == HANDLED.get(name, "ReadOnlyError")
    assert checksum() == data
    assert files <= media()
    assert bool(media() - files) == (name in LEAVES_FILES)


def refusal_or_status(post: Post, client: Client, site: dict[str, Any], held: dict[str, Any]) -> str | int:
    """Send it: the name of the error that reached Django's handler, or the status the view answered with."""
    try:
        status: int = post.send(client, site, held).status_code
    except ReadOnlyError as error:
        return type(error).__name__
    return status
