"""Shorthands of the provisioning tests: provision a scratch pair, read and write as its twin."""

from __future__ import annotations

import io
from typing import Any

import psycopg
from django.core.management import CommandError, call_command

from readonly_router.databases import parse_url
from readonly_router.roles.provision import Report, provision
from readonly_router.roles.targets import Target, target_for
from tests.database import Scratch


def admin(scratch: Scratch, url: str = "") -> dict[str, Any]:
    """Return the DATABASES entry of an admin: the superuser, or the URL's login."""
    return parse_url({"URL": url or scratch.admin_url}, "URL")


def target(scratch: Scratch, url: str = "", **options: Any) -> Target:
    return target_for(scratch.alias, admin=admin(scratch, url), **options)


def provisioned(scratch: Scratch, url: str = "", *, harden: bool = False, **options: Any) -> Report:
    return provision(target(scratch, url, **options), harden=harden)


def command(scratch: Scratch, *arguments: str, url: str = "") -> tuple[int, str, str]:
    """Run create_readonly_role on the pair; return its exit status, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    options = ["--database", scratch.alias, "--admin-url", url or scratch.admin_url, *arguments]
    try:
        call_command("create_readonly_role", *options, stdout=out, stderr=err)
    except CommandError as error:
        return error.returncode, out.getvalue(), f"{err.getvalue()}{error}"
    return 0, out.getvalue(), err.getvalue()


def ask(scratch: Scratch, query: str, user: str = "", *before: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query as the twin, or as another role, after other statements."""
    with scratch.login(user or scratch.twin) as connection:
        for statement in before:
            connection.execute(statement.encode())
        return connection.execute(query.encode()).fetchall()


def refused(scratch: Scratch, *statements: str, user: str = "") -> str:
    """Return the SQLSTATE with which the last of some statements ended; empty when it did not fail."""
    with scratch.login(user or scratch.twin) as connection:
        try:
            for statement in statements:
                connection.execute(statement.encode())
        except psycopg.Error as error:
            return error.sqlstate or "?"
    return ""


OFF = "SET default_transaction_read_only = off"
