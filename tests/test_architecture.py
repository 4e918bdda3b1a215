"""The floors: imports point down, each thing lives where the design says, and nothing happens at import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = {
    "management",
    "management.commands",
    "roles",
    "switch",
    "http",
    "contrib",
    "templatetags",
    "operations",
}
PACKAGE = Path(__file__).parents[1] / "readonly_router"

FLOORS = {
    "errors": 0,
    "signals": 0,
    "conf": 1,
    "databases": 1,
    "refusals": 1,
    "durations": 1,
    "switch.mark": 1,
    "switch.receipt": 1,
    "switch.spec": 1,
    "mode": 2,
    "models": 2,
    "roles.spec": 2,
    "roles.statements": 2,
    "roles.questions": 2,
    "roles.acl": 2,
    "roles.catalog": 2,
    "roles.plan": 2,
    "roles.hardening": 2,
    "roles.script": 2,
    "watch": 3,
    "following": 3,
    "held": 3,
    "translation": 3,
    "twin_sessions": 3,
    "switch.catalog": 3,
    "switch.targets": 3,
    "switch.preflight": 3,
    "switch.flip": 3,
    "switch.drain": 3,
    "switch.standing": 3,
    "switch.throws": 3,
    "switch.off": 3,
    "switch.on": 3,
    "switch.reports": 3,
    "cursors": 3,
    "renewal": 3,
    "wrappers": 3,
    "pairs": 3,
    "connections": 3,
    "roles.logins": 3,
    "roles.apply": 3,
    "roles.prove": 3,
    "roles.targets": 3,
    "roles.likeness": 3,
    "roles.provision": 3,
    "roles.drop": 3,
    "http.window": 4,
    "router": 4,
    "scopes": 4,
    "http.request_mode": 4,
    "http.responses": 4,
    "http.exemptions": 4,
    "http.skipping": 4,
    "http.blame": 4,
    "http.refused": 4,
    "http.plain_sessions": 4,
    "http.signed_out": 4,
    "http.streams": 4,
    "http.visitors": 4,
    "switch.execute": 5,
    "middleware": 5,
    "sessions": 5,
    "http.signing_in": 5,
    "checks": 5,
    "admin": 5,
    "admin_site": 5,
    "admin_view_only": 5,
    "operations.access": 5,
    "operations.banner": 5,
    "operations.board": 5,
    "operations.forms": 5,
    "operations.history": 5,
    "operations.migrating": 5,
    "operations.migration_pages": 5,
    "operations.news": 5,
    "operations.pages": 5,
    "operations.places": 5,
    "operations.plan": 5,
    "operations.streaming": 5,
    "operations.urls": 5,
    "operations.migrations_urls": 6,
    "management.logins": 6,
    "management.files": 6,
    "management.lines": 6,
    "management.commands.read_only": 6,
    "management.commands.create_readonly_role": 6,
    "apps": 7,
    "": 7,
    "site_checks": 5,
    "views": 5,
    "urls": 6,
    "context_processors": 5,
    "templatetags.read_only": 5,
    "contrib.rest_framework": 5,
}
# The modules that may hold a query of their own; statements only composes what others run.
WITH_SQL = {
    *("roles.questions", "roles.catalog", "roles.apply", "roles.prove", "roles.likeness", "roles.drop"),
    *("roles.logins", "roles.targets", "twin_sessions", "views", "renewal", "following"),
    *("switch.catalog", "switch.flip", "switch.drain", "switch.targets", "switch.preflight", "switch.standing"),
}
PURE = {
    *("durations", "switch.mark", "switch.receipt", "switch.spec"),
    *("roles.spec", "roles.statements", "roles.plan", "roles.hardening", "roles.script"),
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        name = name.removesuffix("__init__").rstrip(".")
        if name not in PACKAGES and not name.startswith("migrations"):
            yield name, ast.parse(path.read_text())


def imported(name: str, tree: ast.Module) -> Iterator[str]:
    """The package's own modules that a module imports, wherever in it."""
    is_package = name == ""
    parts = name.split(".") if name else []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            keep = len(parts) - node.level + (1 if is_package else 0)
            base = ".".join([*parts[: max(keep, 0)], *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}".strip(".")
                yield whole if whole in FLOORS else base


every_module = pytest.mark.parametrize(("name", "tree"), [pytest.param(*pair, id=pair[0]) for pair in modules()])


@every_module
def test_imports_point_down_the_floors(name: str, tree: ast.Module) -> None:
    upward = [other for other in imported(name, tree) if other in FLOORS and FLOORS[other] > FLOORS[name]]
    assert upward == []


def test_every_module_has_its_floor() -> None:
    assert {name for name, _ in modules()} == set(FLOORS)


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
    assert executing - WITH_SQL <= {"roles.provision", "switch.execute"}  # a plan, a management command


def test_importing_the_package_reads_no_settings_and_imports_no_driver() -> None:
    code = (
        "import sys, readonly_router, readonly_router.router, readonly_router.apps\n"
        "from django.conf import settings\n"
        "print(settings.configured, 'psycopg' in sys.modules, 'django.db.models' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert result.stdout.split()[:2] == ["False", "False"], result.stderr
