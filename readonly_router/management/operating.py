"""What both commands share: options that are text, and lines that stay one line whatever they name."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError

from ..escaping import escaped, is_text

NOT_UNDERSTOOD = 2


class OperatorCommand(BaseCommand):
    """A command of an operator's: `answer` is stdout, `narrate` stderr."""

    # It must work in a site that is half broken; create_readonly_role --check and check say what is.
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Return the parser, whose errors quote what was typed."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        quote_safely(parser)
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; its error is one line."""
        for name in _not_text(options):
            raise CommandError(
                f"{name} holds bytes that are no text; write it in UTF-8, without NUL.", returncode=NOT_UNDERSTOOD
            )
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            raise CommandError(escaped(str(error)), returncode=error.returncode) from error.__cause__

    def answer(self, line: str) -> None:
        """Write a line that may hold names, reasons and other text to stdout."""
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        # A terminal of another encoding must not make an error of a switch that was thrown.
        self.stdout.write(escaped(line).encode(encoding, "backslashreplace").decode(encoding))

    def narrate(self, line: str) -> None:
        """Write such a line to stderr."""
        self.stderr.write(escaped(line))


def quote_safely(parser: ArgumentParser) -> None:
    """Let the parser's own errors be one line too, without the usage that would hide it."""
    error = parser.error

    def told(message: str) -> NoReturn:
        if getattr(parser, "called_from_command_line", False):
            parser.exit(NOT_UNDERSTOOD, f"{parser.prog}: error: {escaped(message)}; see --help\n")
        error(escaped(message))

    parser.error = told  # type: ignore[method-assign]  # Django makes the parser, of a class of its own


def _not_text(options: dict[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        texts = value if isinstance(value, list | tuple) else (value,)
        if not all(is_text(text) for text in texts if isinstance(text, str)):
            yield f"--{name.replace('_', '-')}"
