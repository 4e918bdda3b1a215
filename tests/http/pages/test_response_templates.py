"""The 503's templates: a project's own stand before the package's, and where there are none these are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, override_settings

from tests.http.pages.asking import kind
from tests.http.pages.usual import BROWSER


@pytest.fixture
def refused_page(read_only_pages: None) -> None:
    """The page of a read-only process."""


def post(**headers: str) -> Any:
    return Client().post("/echo/", headers=headers)


@pytest.fixture
def override(tmp_path: Path) -> Iterator[Callable[[str, str], None]]:
    """Put a template of the project's before the package's."""

    def write(name: str, text: str) -> None:
        (tmp_path / "readonly_router").mkdir(exist_ok=True)
        (tmp_path / "readonly_router" / name).write_text(text)

    backend = "django.template.backends.django.DjangoTemplates"
    with override_settings(TEMPLATES=[{"BACKEND": backend, "DIRS": [str(tmp_path)], "APP_DIRS": True}]):
        yield write


def test_a_project_may_override_the_page(refused_page: None, override: Callable[[str, str], None]) -> None:
    override("503.html", "ours: {{ retry_after }}{{ reason }}{{ request.user }}")

    assert post(**BROWSER).content == b"ours: 60"


def test_a_project_may_override_the_fragment(refused_page: None, override: Callable[[str, str], None]) -> None:
    override("fragment.html", "ours")

    assert post(**{"HX-Request": "true"}).content == b"ours"


@pytest.mark.parametrize("text", ["{% url 'no-such-name' %}", "{% extends 'no-such-base.html' %}"])
def test_an_override_that_fails_is_told_and_not_shown(
    refused_page: None, override: Callable[[str, str], None], caplog: pytest.LogCaptureFixture, text: str
) -> None:
    override("503.html", text)
    answer = post(**BROWSER)

    assert (answer.status_code, kind(answer)) == (503, "page")
    assert any("readonly_router/503.html failed" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    "templates",
    [
        [],
        [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": False}],
        [{"BACKEND": "django.template.backends.dummy.TemplateStrings", "APP_DIRS": True}],
    ],
    ids=["none", "not of apps", "another engine"],
)
def test_a_project_without_such_templates_shows_the_packages_own(refused_page: None, templates: Any) -> None:
    with override_settings(TEMPLATES=templates):
        assert kind(post(**BROWSER)) == "page"
        assert kind(post(**{"HX-Request": "true"})) == "fragment"
