"""APIs while read-only: REST framework with permission and handler, Ninja and GraphQL by the middleware alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, modify_settings, override_settings

from readonly_router import disable_writes
from tests.example.shop.models import Category

ROOT = Path(__file__).parents[2]
MIDDLEWARE = ["readonly_router.middleware.ReadOnlyMiddleware"]
REST = {
    "EXCEPTION_HANDLER": "readonly_router.contrib.rest_framework.exception_handler",
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
}
PROBLEM = "application/problem+json"
# What a project lists, in a process that has imported nothing of REST framework yet.
BY_SETTINGS = """
import tests.example.settings as example
from django.conf import settings
own = "readonly_router.contrib.rest_framework."
settings.configure(
    **{name: value for name, value in vars(example).items() if name.isupper()},
    REST_FRAMEWORK={
        "EXCEPTION_HANDLER": own + "exception_handler", "DEFAULT_PERMISSION_CLASSES": [own + "ReadOnlyPermission"]
    },
)
import django
django.setup()
from rest_framework.views import APIView
print(APIView.permission_classes[0].__name__)
"""


def test_both_can_be_the_projects_defaults() -> None:
    environment = {**os.environ, "DATABASE_URL": "postgres://site@127.0.0.1/shop"}
    found = subprocess.run(
        [sys.executable, "-c", BY_SETTINGS], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert found.stdout.split() == ["ReadOnlyPermission"], found.stderr


@pytest.fixture
def api(shop: None, checksum: Callable[[], str]) -> Iterator[Client]:
    """A client of the APIs while the process is read-only; whatever it does, nothing is written."""
    before = checksum()
    with override_settings(ROOT_URLCONF="tests.http.api", MIDDLEWARE=MIDDLEWARE, REST_FRAMEWORK=REST):
        disable_writes()
        yield Client()
    assert checksum() == before


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(path, json.dumps(body), content_type="application/json", headers={"Accept": "*/*"})


def test_a_viewset_can_be_read(api: Client) -> None:
    answer = api.get("/rest/categories/", headers={"Accept": "application/json"})

    assert answer.status_code == 200
    assert len(answer.json()) == Category.objects.count()


def test_a_viewset_refuses_to_create(api: Client) -> None:
    answer = post(api, "/rest/categories/", {"name": "new"})

    assert (answer.status_code, answer["Content-Type"]) == (503, PROBLEM)


def test_an_action_of_a_viewset_may_be_exempt(api: Client) -> None:
    answer = post(api, "/rest/categories/search/", {})

    assert answer.status_code == 200


def test_a_read_that_writes_is_problem_details_of_rest_framework(api: Client) -> None:
    answer = api.get("/rest/categories/touch/", headers={"Accept": "application/json"})

    assert (answer.status_code, answer["Content-Type"], answer["Read-Only"]) == (503, PROBLEM, "?1")
    assert int(answer["Retry-After"]) > 0
    assert answer.json()["status"] == 503


@override_settings(READONLY_ROUTER_UNSAFE_METHODS="attempt")
def test_the_permission_refuses_what_the_middleware_lets_through(api: Client) -> None:
    answer = post(api, "/rest/categories/", {"name": "new"})

    assert (answer.status_code, answer["Content-Type"]) == (503, PROBLEM)


def test_another_error_stays_rest_frameworks_own(api: Client) -> None:
    answer = api.get("/rest/categories/0/", headers={"Accept": "application/json"})

    assert answer.status_code == 404


def test_the_browsable_api_shows_no_forms(shop: None) -> None:
    with override_settings(ROOT_URLCONF="tests.http.api", MIDDLEWARE=MIDDLEWARE, REST_FRAMEWORK=REST):
        with modify_settings(INSTALLED_APPS={"append": "rest_framework"}):
            before = Client().get("/rest/categories/", headers={"Accept": "text/html"}).content
            disable_writes()
            after = Client().get("/rest/categories/", headers={"Accept": "text/html"}).content

    assert b'method="POST"' in before
    assert b'method="POST"' not in after


def test_ninja_is_refused_by_the_middleware(api: Client) -> None:
    answer = post(api, "/ninja/categories", {})

    assert (answer.status_code, answer["Content-Type"]) == (503, PROBLEM)


def test_a_graphql_mutation_is_refused(api: Client) -> None:
    answer = post(api, "/graphql/", {"query": 'mutation { rename(name: "x") }'})

    assert (answer.status_code, answer["Content-Type"]) == (503, PROBLEM)


def test_a_graphql_query_post_works_where_exempt(api: Client) -> None:
    answer = post(api, "/graphql/open/", {"query": "{ categories }"})

    assert answer.status_code == 200
    assert answer.json()["data"]["categories"]


def test_a_graphql_mutation_where_exempt_is_refused_by_postgres(api: Client) -> None:
    answer = post(api, "/graphql/open/", {"query": 'mutation { rename(name: "x") }'})

    assert "errors" in answer.json()
