"""A plan as a script that a DBA runs with `psql -v ON_ERROR_STOP=1`; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import ProvisioningError
from ..escaping import escaped, is_plain, shortened
from .spec import Plan, Role, Statement

_HEAD = """-- The read-only role {role} of database {database}. Run as a superuser, or as a login that
-- may act for the owners: psql -v ON_ERROR_STOP=1 -d postgres -f THIS_FILE
-- The password is a SCRAM verifier. Afterwards: manage.py create_readonly_role --check"""


def render(wanted: Role, plan: Plan, hardening: Plan) -> str:
    """Return the script; running it a second time is for a new plan, not for this one.

    Raises ProvisioningError for what would end a line of it, or hide from whoever reads it before running it.
    """
    _refuse_unprintable(wanted, (*plan.statements, *hardening.statements))
    return "\n".join(_lines(wanted, plan, hardening))


def _refuse_unprintable(wanted: Role, statements: Iterable[Statement]) -> None:
    named = {
        "database": (wanted.database,),
        "role": (wanted.name, wanted.writer, wanted.login),
        "schema": wanted.schemas or (),
    }
    for kind, names in named.items():
        for name in names:
            if not is_plain(name):
                raise _unprintable(f"The name of {kind} {shortened(name)}")
    for statement in statements:
        if not all(map(is_plain, _texts(statement))):
            raise _unprintable(f"What a statement names ({escaped(statement.says)})")


def _unprintable(what: str) -> ProvisioningError:
    return ProvisioningError(
        f"{what} holds a control character, which psql or whoever reads the script would take for something else; "
        "rename it, or run create_readonly_role without --sql."
    )


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
    texts = _texts(statement)
    if len(texts) > 1:
        texts = ["BEGIN", *texts, "COMMIT"]
    yield from (f"{text};" for text in texts)


def _texts(statement: Statement) -> list[str]:
    return [text.as_string(None) for text in (*statement.first, statement.text)]


def _argument(name: str) -> str:
    """Return a connection string as psql reads it: a plain name with an equals sign would be taken for one."""
    value = name.replace("\\", "\\\\").replace("'", "\\'").replace('"', '""')
    return f"-reuse-previous=on \"dbname='{value}'\""


def _one_line(text: str) -> str:
    return escaped(" ".join(text.split()))
