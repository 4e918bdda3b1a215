"""One function opens our sessions; what is asked on Django's, whose search_path is the site's, is spelt whole."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.test_architecture import WITH_SQL, modules

OPENS = {"connect", "ConnectionPool", "AsyncConnectionPool", "NullConnectionPool", "AsyncNullConnectionPool"}
# The function itself under its names; Django's own connections; signals.
ALLOWED = {
    *("logins.connect", "connect", "self.connect", "super().connect"),
    *(
        "connection_created.connect",
        "setting_changed.connect",
        "user_logged_in.connect",
        "got_request_exception.connect",
        # A copy of Django's wrapper of the twin.
        "lender.connect",
    ),
}
# These ask on connections that Django opened. Every other module is handed sessions of `logins`.
ON_DJANGOS = {"following.answers", "following.followers", "views"} | {
    f"connections.{name}" for name in ("along", "repeating", "twin_sessions")
}


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, node


@pytest.mark.parametrize(
    ("name", "tree"), [pytest.param(*pair, id=pair[0]) for pair in modules() if pair[0] != "logins"]
)
def test_no_session_is_opened_but_by_the_one_function(name: str, tree: ast.Module) -> None:
    opened = {ast.unparse(node.func) for called, node in calls(tree) if called in OPENS}
    assert opened - ALLOWED == set()


def test_the_one_function_makes_a_session_safe_before_it_is_handed_out() -> None:
    tree = dict(modules())["logins"]
    opened = [
        (function.name, ast.unparse(node.func))
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for called, node in calls(ast.Module([function], []))
        if called in OPENS and ast.unparse(node.func) != "connect"
    ]
    assert opened == [("connect", "Session.connect")]


def test_who_asks_on_djangos_connections_is_known() -> None:
    takes = {name for name, tree in modules() for node in ast.walk(tree) if _is_django(node)}
    assert takes & WITH_SQL <= ON_DJANGOS | {"roles.targets", "switch.targets", "logins"}


def _is_django(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "django.db"


STATEMENT = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE|SET|LISTEN|SHOW|VALUES|TABLE)\b")
WORDS = {
    "ANY",
    "ALL",
    "ARRAY",
    "AND",
    "OR",
    "NOT",
    "ON",
    "EXISTS",
    "WHERE",
    "FROM",
    "SELECT",
    "CASE",
    "THEN",
    "ELSE",
    "AS",
    "OPERATOR",
    "LATERAL",
}
# What PostgreSQL looks up an operator for, by the search_path.
HIDDEN = re.compile(r"\b(LIKE|ILIKE|SIMILAR|BETWEEN|IN\s*\(|NULLIF|USING|DISTINCT|OVERLAPS)\b", re.IGNORECASE)


def statements(tree: ast.Module) -> Iterator[str]:
    docs = {
        ast.get_docstring(node, clean=False)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef))
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value not in docs
            and STATEMENT.match(node.value)
        ):
            yield node.value


def unqualified(statement: str) -> list[str]:
    """Return the names, casts and operators of a statement that the search_path decides about."""
    text = re.sub(r"'[^']*'|%\(\w+\)s|%s|--[^\n]*", " ", statement)
    text, found = re.sub(r"OPERATOR\(pg_catalog\.[^)]+\)", " ", text), []
    # A name of WITH is looked up before any relation.
    own = re.findall(r"\bWITH\s+(\w+)\s+AS\b", text)
    found += [name for name in re.findall(r"(?<![\w.])([A-Za-z_]\w*)\s*\(", text) if name.upper() not in WORDS]
    found += [
        name
        for name in re.findall(r"\b(?:FROM|JOIN|TABLE)\s+([^\s(]+)", text)
        if not name.startswith(("pg_catalog.", "{")) and name not in own
    ]
    found += [f"::{name}" for name in re.findall(r"::\s*([\w.\"]+)", text) if not name.startswith("pg_catalog.")]
    found += HIDDEN.findall(text)
    return [*found, *re.findall(r"[=<>!~@#&|^+/?*-]+", text.replace("::", " "))]


@pytest.mark.parametrize("name", sorted(ON_DJANGOS))
def test_a_statement_on_djangos_connection_is_spelt_whole(name: str) -> None:
    assert [(text, found) for text in statements(dict(modules())[name]) if (found := unqualified(text))] == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT now()",
        "SELECT FROM pg_class c",
        "SELECT a::text",
        "SELECT a = 'b'",
        "SELECT a LIKE 'b'",
        "SELECT a IN (1)",
        "SELECT a OPERATOR(public.=) b",
        "SELECT FROM a JOIN b ON true",
    ],
)
def test_a_statement_that_is_not_is_found(statement: str) -> None:
    assert unqualified(statement) != []


def test_the_statements_of_a_module_are_found() -> None:
    assert len(list(statements(dict(modules())["following.answers"]))) >= 4
