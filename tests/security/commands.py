"""Every command of the package, found by asking its parser, in an order in which each has something to do."""

from __future__ import annotations

import argparse
import io
import pkgutil
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

from django.core.management import load_command_class
from django.test import override_settings

from readonly_router.management import commands
from tests.database import Scratch

PACKAGE = "readonly_router"
NAMES = tuple(module.name for module in pkgutil.iter_modules(commands.__path__))

# One after the other, on one database; the words of a verb that is not named here are made from its parser.
ROUND = (
    ("create_readonly_role", "--dry-run"),
    ("create_readonly_role", "--sql", "--harden"),
    ("create_readonly_role",),
    ("create_readonly_role", "--check"),
    ("create_readonly_role", "--harden", "--rotate-password", "--schema", "public"),
    ("check",),
    ("read_only", "status"),
    ("read_only", "on", "--dry-run"),
    ("read_only", "on", "--grace", "0s", "--reason", "tried"),
    ("read_only", "on", "--grace", "0s"),
    ("read_only", "status", "--json"),
    ("read_only", "verify"),
    ("read_only", "history"),
    ("read_only", "refusals"),
    ("read_only", "exec", "check"),
    ("read_only", "off"),
    ("read_only", "on", "--grace", "0s", "--fence", "login"),
    ("read_only", "status"),
    ("read_only", "verify"),
    ("read_only", "off"),
    ("create_readonly_role", "--drop", "--force"),
    ("create_readonly_role", "--enable"),
    ("read_only", "off"),
)


class Ran(NamedTuple):
    """One command, its exit status and what it printed."""

    words: tuple[str, ...]
    status: int
    printed: str


def verbs() -> dict[str, argparse.ArgumentParser]:
    """Return the verbs of `read_only`, each with its parser."""
    parser = load_command_class(PACKAGE, "read_only").create_parser("manage.py", "read_only")
    (action,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(action.choices)


def in_order() -> Iterator[tuple[str, ...]]:
    """Yield every command; a verb that nobody put into the round follows it."""
    yield from ROUND
    named = {words[1] for words in ROUND if words[0] == "read_only"}
    yield from (("read_only", verb) for verb in verbs() if verb not in named)


def run_all(scratch: Scratch, admin_url: str) -> list[Ran]:
    """Run every command on a pair as an admin; whatever is no error of a command is raised."""
    return [run(scratch, words, admin_url) for words in in_order()]


def run(scratch: Scratch, words: tuple[str, ...], admin_url: str) -> Ran:
    """Run one command as its command line would, in this process."""
    name, *rest = words
    argv = ["manage.py", name, *_complete(scratch, name, rest, admin_url)]
    # exec is about every pair, of which the suite's own has no events; check asks first that every alias has one.
    pairs = {} if name == "check" else {"READONLY_ROUTER_PAIRS": {scratch.alias: scratch.twin_alias}}
    out, status = io.StringIO(), 0
    with override_settings(**pairs), redirect_stdout(out), redirect_stderr(out):
        try:
            # Within: a command keeps the streams that it finds as it is made.
            load_command_class("django.core" if name == "check" else PACKAGE, name).run_from_argv(argv)
        except SystemExit as end:
            status = int(end.code or 0)
    return Ran(words, status, out.getvalue())


def _complete(scratch: Scratch, name: str, rest: list[str], admin_url: str) -> list[str]:
    if name == "check":
        return ["--database", scratch.alias, "--database", scratch.twin_alias]
    parser = verbs()[rest[0]] if name == "read_only" else None
    taken = _options(parser) if parser else {"--database", "--admin-url"}
    about = ["--database", scratch.alias] if "--database" in taken else []
    way = ["--admin-url", admin_url] if "--admin-url" in taken else []
    if not parser:
        return [*rest, *about, *way]
    # A verb takes its options before what it hands on.
    return [rest[0], *about, *way, *(["--", *rest[1:]] if rest[0] == "exec" else rest[1:])]


def _options(parser: argparse.ArgumentParser) -> set[str]:
    return {name for action in parser._actions for name in action.option_strings}


def needs_words(parser: argparse.ArgumentParser) -> bool:
    """Return whether a verb cannot be run without words that only its author knows."""
    return any(action.required for action in parser._actions)


def told(ran: list[Ran]) -> str:
    """Return what the commands printed, for a test that failed."""
    return "\n".join(f"$ {' '.join(each.words)} -> {each.status}\n{each.printed}" for each in ran)
