"""The README is the contract: every public name, setting, variable, option, check and target is in it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import readonly_router
from readonly_router import conf, databases
from readonly_router.management.commands import create_readonly_role, read_only
from readonly_router.management.logins import ADMIN_URL

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SOURCES = "\n".join(path.read_text() for path in (ROOT / "readonly_router").rglob("*.py"))

DJANGOS_OWN = {
    *("--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback"),
    *("--no-color", "--force-color", "--skip-checks"),
}


def parsers() -> Iterator[argparse.ArgumentParser]:
    yield create_readonly_role.Command().create_parser("manage.py", "create_readonly_role")
    switch = read_only.Command().create_parser("manage.py", "read_only")
    yield switch
    for action in switch._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def options() -> set[str]:
    actions = [action for parser in parsers() for action in parser._actions]
    return {name for action in actions for name in action.option_strings if name.startswith("--")} - DJANGOS_OWN


@pytest.mark.parametrize("verb", ["on", "off", "status", "verify", "exec", "history"])
def test_a_verb_of_the_switch_is_told(verb: str) -> None:
    assert f"`read_only {verb}" in README


@pytest.mark.parametrize("name", readonly_router.__all__)
def test_a_public_name_is_told(name: str) -> None:
    assert f"`{name}" in README


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bREADONLY_ROUTER_[A-Z_]+", SOURCES))))
def test_a_setting_is_told(name: str) -> None:
    assert f"`{name}`" in README
    assert hasattr(conf, name)


@pytest.mark.parametrize(
    "name",
    [
        conf.ENVIRONMENT_VARIABLE,
        databases.URL,
        databases.TWIN_URL,
        databases.TWIN_PASSWORD,
        ADMIN_URL,
        "TEST_DATABASE_URL",
    ],
)
def test_a_variable_is_told(name: str) -> None:
    assert f"`{name}`" in README


@pytest.mark.parametrize("value", [value for value in conf.VALUES if value])
def test_a_value_of_the_mode_is_told(value: str) -> None:
    assert f"`{value}`" in README


@pytest.mark.parametrize("name", sorted(options()))
def test_an_option_is_told(name: str) -> None:
    assert f"`{name}" in README


def test_every_check_is_told_and_no_other() -> None:
    told = set(re.findall(r"readonly_router\.([EW]\d{3})", README))
    raised = {
        f"{kind[1].upper()}{int(number):03}"
        for kind, number in re.findall(r"(_error|_warning)\(\s*(\d+)", SOURCES)
    } | {f"W{int(number):03}" for number in re.findall(r"^    \"[\w.]+\": \(\n +(\d+),\n", SOURCES, flags=re.M)}
    assert told == raised


def test_every_make_target_is_told() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.M)
    assert [
        target for target in targets if f"make {target}`" not in README and f"make {target} " not in README
    ] == []


@pytest.mark.parametrize("status", [0, 1, 2, 3, 130])
def test_an_exit_status_is_told(status: int) -> None:
    assert f"| {status} |" in README


def test_the_versions_are_those_of_the_package() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert 'requires-python = ">=3.10"' in project
    assert f'version = "{readonly_router.__version__}"' in project
    assert f"## {readonly_router.__version__}" in (ROOT / "CHANGELOG.md").read_text()
