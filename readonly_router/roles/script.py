"""A plan as a script that a DBA runs with `psql -v ON_ERROR_STOP=1`; pure."""

from __future__ import annotations

from collections.abc import Iterator

from .spec import Plan, Role, Statement

_HEAD = """-- The read-only role {role} of database {database}. Run as a superuser, or as a login that
-- may act for the owners: psql -v ON_ERROR_STOP=1 -d {database} -f THIS_FILE
-- The password is a SCRAM verifier. Afterwards: manage.py create_readonly_role --check"""


def render(wanted: Role, plan: Plan, hardening: Plan) -> str:
    """Return the script; running it a second time is for a new plan, not for this one."""
    return "\n".join(_lines(wanted, plan, hardening))


def _lines(wanted: Role, plan: Plan, hardening: Plan) -> Iterator[str]:
    # A line break in a name must not end the comment.
    yield _HEAD.format(role=_one_line(wanted.name), database=_one_line(wanted.database))
    # psql does not expand its own variables inside quotes, so names may hold colons.
    yield r"\set ON_ERROR_STOP on"
    yield r"\connect " + _argument(wanted.database)
    yield "SET search_path = '';"
    yield "SET lock_timeout = '10s';"
    for statement in (*plan.statements, *hardening.statements):
        yield from _statement(statement)
    yield from (f"-- undo: {_one_line(line)};" for line in hardening.undo)


def _statement(statement: Statement) -> Iterator[str]:
    yield f"-- {_one_line(statement.says)}"
    texts = [text.as_string(None) for text in (*statement.first, statement.text)]
    if len(texts) > 1:
        texts = ["BEGIN", *texts, "COMMIT"]
    yield from (f"{text};" for text in texts)


def _argument(name: str) -> str:
    """Return a connection string as psql reads it: a plain name with an equals sign would be taken for one."""
    value = name.replace("\\", "\\\\").replace("'", "\\'").replace('"', '""')
    return f"-reuse-previous=on \"dbname='{value}'\""


def _one_line(text: str) -> str:
    return " ".join(text.split())
