"""Asking the pages by either handler, and knowing the 503."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

# Django's own, where an asynchronous stream meets the synchronous handler, or the other way round.
consumes = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")


def get(path: str, **options: Any) -> Any:
    return Client(raise_request_exception=False).get(path, **options)


def aget(path: str) -> Any:
    return async_to_sync(AsyncClient(raise_request_exception=False).get)(path)


def is_unavailable(answer: Any) -> bool:
    return (answer.status_code, answer.headers.get("Read-Only"), "Retry-After" in answer) == (503, "?1", True)


def kind(answer: Any) -> str:
    """Return which of the three forms an answer has."""
    text = answer.content.decode()
    if answer["Content-Type"].startswith("application/problem+json"):
        return "problem" if json.loads(text)["status"] == 503 else text
    return "page" if "<!DOCTYPE html>" in text and "</html>" in text else "fragment"
