"""Each thing lives where the design says, and nothing happens at import; `make lint` has the floors."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "readonly_router"

# The modules that may hold a query of their own; statements only composes what others run.
WITH_SQL = {
    *("advisory", "logins", "views", "following.answers", "following.followers"),
    *(f"connections.{name}" for name in ("along", "repeating", "twin_sessions")),
    *(f"roles.{name}" for name in ("alike", "apply", "catalog", "drop", "likeness", "other_rights", "prove")),
    *("roles.questions", "roles.targets"),
    *(f"switch.{name}" for name in ("catalog", "drain", "events", "flip", "preflight", "standing", "targets")),
    *("switch.twin", "switch.waits"),
}
PURE = {
    *("durations", "escaping", "near_names", "place", "values", "mark", "switch.receipt", "switch.spec"),
    *("roles.spec", "roles.statements", "roles.plan", "roles.hardening", "roles.script"),
    "operations.plan",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        tree = ast.parse(path.read_text())
        if tree.body and not name.startswith("migrations"):
            yield name.removesuffix("__init__").rstrip("."), tree


every_module = pytest.mark.parametrize(("name", "tree"), [pytest.param(*pair, id=pair[0]) for pair in modules()])


@every_module
def test_every_module_opens_with_its_idea_in_one_line(name: str, tree: ast.Module) -> None:
    assert (ast.get_docstring(tree) or "").partition("\n")[0].endswith((".", ";", ":"))


def test_only_conf_reads_django_settings() -> None:
    readers = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.conf"
    }
    assert readers == {"conf"}


@pytest.mark.parametrize("name", sorted(PURE))
def test_a_pure_module_executes_nothing(name: str) -> None:
    tree = dict(modules())[name]
    calls = [
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    assert {"execute", "cursor", "connect"}.isdisjoint(calls)


def test_queries_are_executed_where_the_design_says() -> None:
    executing = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "execute"
    }
    assert executing - WITH_SQL <= {
        "roles.provision",
        "switch.execute",
        "management.operating",
    }  # a plan, commands


@pytest.mark.parametrize(
    ("imported", "driver"),
    [
        # What settings.py imports.
        pytest.param("readonly_router, readonly_router.databases", "False", id="the facade"),
        pytest.param(
            "readonly_router.router, readonly_router.apps", "True", id="what Django imports by the settings"
        ),
    ],
)
def test_importing_the_package_reads_no_settings_and_of_the_facade_no_driver(imported: str, driver: str) -> None:
    code = (
        f"import sys, {imported}\n"
        "from django.conf import settings\n"
        "print(settings.configured, 'psycopg' in sys.modules, 'django.db.models' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert result.stdout.split()[:2] == ["False", driver], result.stderr


# Methods of our handler, by way of Django's registry: a call that no import shows.
HANDLERS_OWN = {"own", "real", "told_by_twin"}
BELOW = ("following", "announcing", "mode", "logins", "advisory", "conf", "databases", "place")


@pytest.mark.parametrize(("name", "tree"), [(n, t) for n, t in modules() if n.partition(".")[0] in BELOW])
def test_nothing_below_the_connections_calls_up_through_djangos_registry(name: str, tree: ast.Module) -> None:
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert HANDLERS_OWN.isdisjoint(names)


def test_our_signal_is_for_others() -> None:
    connected = [
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "connect" and "read_only_changed" in ast.unparse(node)
    ]
    assert connected == []


PUBLIC = {
    "router": "ReadOnlyRouter",
    "middleware": "ReadOnlyMiddleware",
    "sessions": "SessionStore",
    "admin": "ReadOnlyAdminConfig",
    "urls": "urlpatterns",
    "operations.migrations_urls": "urlpatterns",
    "context_processors": "read_only",
    "contrib.rest_framework": "exception_handler",
    "templatetags.read_only": "register",
    "models": "Event",
}


@pytest.mark.parametrize(("module", "name"), PUBLIC.items())
def test_a_public_path_stays(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(f"readonly_router.{module}"), name)


def test_the_loggers_keep_their_names() -> None:
    named = {
        ast.literal_eval(node.args[0])
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "logging.getLogger"
    }
    own = {"", ".operations", ".refused", ".sessions"}
    assert {f"readonly_router{each}" for each in own} <= named
