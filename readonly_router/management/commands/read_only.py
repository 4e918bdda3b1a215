"""`manage.py read_only`: parse, one library call, lines out."""

from __future__ import annotations

import itertools
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import Any

from django.core.management.base import CommandError

from ...errors import DrainError, ModeError, ReadOnlyRouterError, SwitchError
from ...escaping import json_text
from ...http import refused
from ...http.records import as_setting, from_log
from ...switch import reports
from ...switch.execute import execute
from ...switch.off import switch_off
from ...switch.on import preview, switch_on
from ...switch.spec import State
from ...switch.throws import aliases
from ...switch.undo import UndoneInterrupt
from .. import files, lines
from ..logins import ADMIN_URL, admin
from ..operating import OperatorCommand, quote_safely
from ..options import add_databases, add_djangos_own, add_operator, count, duration, from_now

UNKNOWN, HELD_OUT = 2, 3
_ON = ("eta", "grace", "deadline", "force", "fence", "accept_unreadable", "show_queries")


class Command(OperatorCommand):
    """Switch a whole running fleet read-only, prove it, and open again."""

    help = "Switch every process on a database read-only and back, without a restart; enforced by PostgreSQL."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        self._add_on(verbs.add_parser("on", help="switch read-only, drain, and write a receipt"))
        off = verbs.add_parser("off", help="open again")
        add_databases(off)
        add_operator(off)
        off.add_argument("--reason", default="", help="why, for the audit event")
        status = verbs.add_parser("status", help="how the switch stands")
        add_databases(status)
        status.add_argument("--json", action="store_true", help="as JSON")
        status.add_argument("--exit-code", action="store_true", help="exit 0 writable, 1 read-only, 2 unknown")
        verify = verbs.add_parser(
            "verify", help="exit 1 and say what moved if anything was written since a receipt"
        )
        verify.add_argument(
            "receipt", nargs="?", help="file that on wrote; - is standard input; default: the kept one"
        )
        add_databases(verify)
        verify.add_argument("--json", action="store_true", help="as JSON")
        execute_ = verbs.add_parser("exec", help="run a management command that may write, and record it")
        execute_.add_argument("--admin-url", metavar="URL", help=f"a direct login; default: {ADMIN_URL}")
        execute_.add_argument("--by", default="", help="who acts, for the audit event")
        execute_.add_argument("arguments", nargs="+", metavar="-- COMMAND ARGS", help="as after manage.py")
        history = verbs.add_parser("history", help="the audit events, newest first")
        history.add_argument("--database", action="append", metavar="ALIAS", help="writer alias (repeatable)")
        history.add_argument("--limit", type=count, default=20, help="how many (default: 20)")
        history.add_argument("--json", action="store_true", help="as JSON")
        refusals = verbs.add_parser("refusals", help="pages that wrote while read: what to add to the settings")
        refusals.add_argument(
            "--log", metavar="FILE", help="a log of the site; - is standard input; default: this process"
        )
        for verb in verbs.choices.values():
            add_djangos_own(verb)
            quote_safely(verb)

    def _add_on(self, on: ArgumentParser) -> None:
        add_databases(on)
        add_operator(on)
        on.add_argument("--reason", default="", help="why; shown to users")
        on.add_argument("--eta", type=from_now, metavar="30m", help="when it is expected to end, from now")
        on.add_argument("--grace", type=duration, metavar="5s", help="how long busy sessions may go on")
        on.add_argument("--deadline", type=duration, metavar="30s", help="when to give up, and undo everything")
        on.add_argument("--force", action="store_true", help="at the deadline cancel and end what is left")
        on.add_argument("--fence", choices=["settings", "login"], help="login: also NOLOGIN (needs --admin-url)")
        on.add_argument("--writer", action="append", default=[], metavar="ROLE", help="fence this role too")
        on.add_argument(
            "--accept-unreadable",
            action="store_true",
            help="go on though the twin cannot read it all",
        )
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
                self.narrate(f"  held out: {line}")
            raise CommandError(str(error), returncode=HELD_OUT) from None
        except ReadOnlyRouterError as error:
            # 1 is an answer of status: read-only.
            raise CommandError(str(error), returncode=UNKNOWN if options["verb"] == "status" else 1) from None
        except KeyboardInterrupt as error:
            is_undone = isinstance(error, UndoneInterrupt)
            stands = "what this command had switched was undone" if is_undone else "see read_only status"
            raise CommandError(f"Interrupted; {stands}.", returncode=130) from None

    # -- verbs

    def _on(self, options: dict[str, Any]) -> None:
        if options["dry_run"]:
            self._preview(options)
            return
        with files.writable(options["receipt"]) as file:
            receipts = switch_on(**self._order(options, *_ON), writers=options["writer"])
            document = files.document(receipts)
            if file is not None:
                file.replace(document)
        if options["json"]:
            self._print(document.splitlines())
            for receipt in receipts:
                self.narrate(f"{receipt.alias}: {lines.digest(receipt)}")
            return
        for receipt in receipts:
            self._print(lines.receipt(receipt))
        if file is not None:
            self.answer(f"receipt: {file.path}")

    def _order(self, options: dict[str, Any], *names: str) -> dict[str, Any]:
        """Return what every switch is thrown with, and these options."""
        way = {"databases": options["database"], "admin": admin(options["admin_url"]), "tell": self.narrate}
        return {**way, **{name: options[name] for name in ("reason", "by", *names)}}

    def _off(self, options: dict[str, Any]) -> None:
        switch_off(**self._order(options))
        for alias in aliases(options["database"]):
            self.answer(f"{alias}: writable")

    def _status(self, options: dict[str, Any]) -> None:
        states = {alias: self._state(alias, options) for alias in aliases(options["database"])}
        if options["json"]:
            found = {alias: lines.state_object(alias, state) for alias, state in states.items()}
            self._print_json(found)
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
            verdict = reports.verify(receipt, admin=way, tell=self.narrate)
            clean = clean and verdict.clean
            found[receipt.alias] = {"clean": verdict.clean, **asdict(verdict), "digest": receipt.digest}
            if options["json"]:
                continue
            self._print(lines.verdict(verdict, receipt))
        if options["json"]:
            self._print_json(found)
        if not clean:
            sys.exit(1)

    def _exec(self, options: dict[str, Any]) -> None:
        sys.exit(execute(options["arguments"], by=options["by"], admin=admin(options["admin_url"])))

    def _history(self, options: dict[str, Any]) -> None:
        show = (lambda event: json_text(lines.event_object(event))) if options["json"] else lines.event
        for alias in aliases(options["database"]):
            self._print(map(show, reports.history_of(alias, limit=options["limit"])))

    def _refusals(self, options: dict[str, Any]) -> None:
        log, ignored = options["log"], itertools.count()
        found = refused.known() if log is None else tuple(from_log(files.log(log), ignore=lambda _: next(ignored)))
        if count := next(ignored):
            self.stderr.write(
                f"Ignored {count} lines that look like refusals and are not signed with this site's SECRET_KEY, "
                "for a visitor can put such a line into a log; use the settings of the process that logged."
            )
        if not found:
            self.narrate("No line of the logger readonly_router.refused is there.")
        self._print(as_setting(found))

    def _print(self, found: Iterable[str]) -> None:
        for line in found:
            self.answer(line)

    def _print_json(self, found: Any) -> None:
        self._print(json_text(found, indent=2).splitlines())

    def _preview(self, options: dict[str, Any]) -> None:
        states = preview(
            options["database"],
            fence=options["fence"],
            writers=options["writer"],
            accept_unreadable=options["accept_unreadable"],
            admin=admin(options["admin_url"]),
        )
        for state in states:
            self._print(lines.state(state.alias, state))
            if state.read_only:
                self.answer("  would do: nothing" if state.proved else "  would do: prove it")
                continue
            roles = ", ".join(dict.fromkeys((state.writer, *options["writer"])))
            self.answer(f"  would do: make new sessions of {roles} begin read-only, then drain theirs")


# -- signals


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
