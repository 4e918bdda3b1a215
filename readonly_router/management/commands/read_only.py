"""`manage.py read_only`: parse, one library call, lines out."""

from __future__ import annotations

import json
import signal
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ...durations import seconds
from ...errors import DrainError, ModeError, ReadOnlyRouterError, SwitchError
from ...http import refused
from ...switch import reports
from ...switch.execute import execute
from ...switch.off import switch_off
from ...switch.on import preview, switch_on
from ...switch.spec import State
from ...switch.throws import aliases
from .. import files, lines
from ..logins import ADMIN_URL, admin

UNKNOWN, HELD_OUT = 2, 3


class Command(BaseCommand):
    """Switch a whole running fleet read-only, prove it, and open again."""

    help = "Switch every process on a database read-only and back, without a restart; enforced by PostgreSQL."
    # It must work in a site that is half broken; create_readonly_role --check and check say what is.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        self._add_on(verbs.add_parser("on", help="switch read-only, drain, and write a receipt"))
        off = verbs.add_parser("off", help="open again")
        _add_databases(off)
        _add_operator(off)
        off.add_argument("--reason", default="", help="why, for the audit event")
        status = verbs.add_parser("status", help="how the switch stands")
        _add_databases(status)
        status.add_argument("--json", action="store_true", help="as JSON")
        status.add_argument("--exit-code", action="store_true", help="exit 0 writable, 1 read-only, 2 unknown")
        verify = verbs.add_parser(
            "verify", help="exit 1 and say what moved if anything was written since a receipt"
        )
        verify.add_argument(
            "receipt", nargs="?", help="file that on wrote; - is standard input; default: the kept one"
        )
        _add_databases(verify)
        verify.add_argument("--json", action="store_true", help="as JSON")
        execute_ = verbs.add_parser("exec", help="run a management command that may write, and record it")
        execute_.add_argument("--admin-url", metavar="URL", help=f"a direct login; default: {ADMIN_URL}")
        execute_.add_argument("--by", default="", help="who acts, for the audit event")
        execute_.add_argument("arguments", nargs="+", metavar="-- COMMAND ARGS", help="as after manage.py")
        history = verbs.add_parser("history", help="the audit events, newest first")
        history.add_argument("--database", action="append", metavar="ALIAS", help="writer alias (repeatable)")
        history.add_argument("--limit", type=_count, default=20, help="how many (default: 20)")
        history.add_argument("--json", action="store_true", help="as JSON")
        refusals = verbs.add_parser("refusals", help="pages that wrote while read: what to add to the settings")
        refusals.add_argument(
            "--log", metavar="FILE", help="a log of the site; - is standard input; default: this process"
        )
        for verb in verbs.choices.values():
            _add_djangos_own(verb)

    def _add_on(self, on: ArgumentParser) -> None:
        _add_databases(on)
        _add_operator(on)
        on.add_argument("--reason", default="", help="why; shown to users")
        on.add_argument("--eta", type=_from_now, metavar="30m", help="when it is expected to end, from now")
        on.add_argument("--grace", type=_duration, metavar="5s", help="how long busy sessions may go on")
        on.add_argument("--deadline", type=_duration, metavar="30s", help="when to give up, and undo everything")
        on.add_argument("--force", action="store_true", help="at the deadline cancel and end what is left")
        on.add_argument("--fence", choices=["settings", "login"], help="login: also NOLOGIN (needs --admin-url)")
        on.add_argument("--writer", action="append", default=[], metavar="ROLE", help="fence this role too")
        on.add_argument("--receipt", metavar="FILE", help="write the receipts to this file")
        on.add_argument("--dry-run", action="store_true", help="say what would be done; change nothing")
        on.add_argument("--show-queries", action="store_true", help="show query texts, which hold data")
        on.add_argument("--json", action="store_true", help="print the receipts as JSON")

    def handle(self, **options: Any) -> None:
        try:
            with _ended_by_signals():
                getattr(self, f"_{options['verb']}")(options)
        except DrainError as error:
            for line in error.sessions:
                self.stderr.write(f"  held out: {line}")
            raise CommandError(str(error), returncode=HELD_OUT) from None
        except ReadOnlyRouterError as error:
            # 1 is an answer of status: read-only.
            raise CommandError(str(error), returncode=UNKNOWN if options["verb"] == "status" else 1) from None
        except KeyboardInterrupt:
            stands = (
                "what this command had switched was undone" if options["verb"] == "on" else "see read_only status"
            )
            raise CommandError(f"Interrupted; {stands}.", returncode=130) from None

    # -- verbs

    def _on(self, options: dict[str, Any]) -> None:
        if options["dry_run"]:
            self._preview(options)
            return
        file = files.writable(options["receipt"])
        receipts = switch_on(
            options["database"],
            reason=options["reason"],
            eta=options["eta"],
            grace=options["grace"],
            deadline=options["deadline"],
            force=options["force"],
            fence=options["fence"],
            writers=options["writer"],
            by=options["by"],
            show_queries=options["show_queries"],
            admin=admin(options["admin_url"]),
            tell=self.stderr.write,
        )
        document = files.document(receipts)
        if file is not None:
            files.replace(file, document)
        if options["json"]:
            self.stdout.write(document)
            return
        for receipt in receipts:
            self._print(lines.receipt(receipt))
        if file is not None:
            self.stdout.write(f"receipt: {file}")

    def _off(self, options: dict[str, Any]) -> None:
        switch_off(
            options["database"],
            reason=options["reason"],
            by=options["by"],
            admin=admin(options["admin_url"]),
            tell=self.stderr.write,
        )
        for alias in aliases(options["database"]):
            self.stdout.write(f"{alias}: writable")

    def _status(self, options: dict[str, Any]) -> None:
        states = {alias: self._state(alias, options) for alias in aliases(options["database"])}
        if options["json"]:
            found = {alias: lines.state_object(alias, state) for alias, state in states.items()}
            self.stdout.write(json.dumps(found, default=str, indent=2))
        else:
            for alias, state in states.items():
                self._print(lines.state(alias, state))
        unknown = any(isinstance(state, str) for state in states.values())
        if unknown or options["exit_code"]:
            sys.exit(UNKNOWN if unknown else int(any(lines.is_read_only(state) for state in states.values())))

    def _state(self, alias: str, options: dict[str, Any]) -> State | str:
        try:
            return reports.state_of(alias, admin=admin(options["admin_url"]))
        except (ModeError, SwitchError) as error:
            return str(error)

    def _verify(self, options: dict[str, Any]) -> None:
        way = admin(options["admin_url"])
        receipts = (
            [reports.receipt_of(alias, admin=way) for alias in aliases(options["database"])]
            if options["receipt"] is None
            else files.receipts(options["receipt"], options["database"])
        )
        clean, found = True, {}
        for receipt in receipts:
            verdict = reports.verify(receipt, admin=way, tell=self.stderr.write)
            clean = clean and verdict.clean
            found[receipt.alias] = {"clean": verdict.clean, **asdict(verdict)}
            if options["json"]:
                continue
            self._print(lines.verdict(verdict, receipt))
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=2))
        if not clean:
            sys.exit(1)

    def _exec(self, options: dict[str, Any]) -> None:
        sys.exit(execute(options["arguments"], by=options["by"], admin=admin(options["admin_url"])))

    def _history(self, options: dict[str, Any]) -> None:
        # Late: a command module is imported before the models of half the commands of Django are.
        from ...models import Event  # noqa: PLC0415 - models are not loaded yet

        for alias in aliases(options["database"]):
            try:
                events = list(Event.objects.using(alias).filter(alias=alias)[: options["limit"]])
            except DatabaseError as error:
                said = str(error).partition("\n")[0]
                raise CommandError(
                    f"The events of '{alias}' cannot be read ({said}); is readonly_router migrated there?"
                ) from None
            for event in events:
                found = json.dumps(lines.event_object(event), default=str)
                self.stdout.write(found if options["json"] else lines.event(event))

    def _refusals(self, options: dict[str, Any]) -> None:
        found = refused.known() if options["log"] is None else tuple(refused.from_log(files.log(options["log"])))
        if not found:
            self.stderr.write("No line of the logger readonly_router.refused is there.")
        self._print(refused.as_setting(found))

    def _print(self, found: Iterable[str]) -> None:
        for line in found:
            self.stdout.write(line)

    def _preview(self, options: dict[str, Any]) -> None:
        states = preview(
            options["database"],
            fence=options["fence"],
            writers=options["writer"],
            admin=admin(options["admin_url"]),
        )
        for state in states:
            self._print(lines.state(state.alias, state))
            if state.read_only:
                self.stdout.write("  would do: nothing" if state.proved else "  would do: prove it")
                continue
            roles = ", ".join(dict.fromkeys((state.writer, *options["writer"])))
            self.stdout.write(f"  would do: make new sessions of {roles} begin read-only, then drain theirs")


# -- options and signals


def _add_databases(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--database", action="append", metavar="ALIAS", help="writer alias (repeatable); default: all"
    )
    parser.add_argument("--admin-url", metavar="URL", help=f"a login that may do more; default: {ADMIN_URL}")


def _add_djangos_own(parser: ArgumentParser) -> None:
    """Take what every command of Django takes after the verb as well, where people write it."""
    for name in ("--settings", "--pythonpath"):
        parser.add_argument(name, default=SUPPRESS, help=SUPPRESS)
    for name in ("--traceback", "--no-color", "--force-color"):
        parser.add_argument(name, action="store_true", default=SUPPRESS, help=SUPPRESS)
    parser.add_argument("-v", "--verbosity", type=int, choices=range(4), default=SUPPRESS, help=SUPPRESS)


def _add_operator(parser: ArgumentParser) -> None:
    parser.add_argument("--by", default="", help="who acts, for the audit event; default: user@host")


def _duration(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _from_now(text: str) -> datetime:
    try:
        return datetime.now(timezone.utc) + timedelta(seconds=_duration(text))
    except OverflowError:
        raise ArgumentTypeError(f"{text!r} is too long") from None


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is no number")
    return int(text)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let a lost terminal or a polite kill end a command as Ctrl-C does: undone, not half done."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    try:
        before = {name: signal.signal(getattr(signal, name), end) for name in names}
    except ValueError:  # not the main thread
        before = {}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
