"""`manage.py create_readonly_role`: parse, one library call, lines out."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

import psycopg
from django.core.management import call_command
from django.core.management.base import CommandError

from ... import conf
from ...errors import ReadOnlyRouterError
from ...logins import one_line
from ...roles import script
from ...roles.drop import drop
from ...roles.provision import Report, Target, check, preview, provision, target_for
from ...roles.spec import Gap, Plan, Power, Proof
from ..logins import ADMIN_URL, admin
from ..operating import OperatorCommand


class Command(OperatorCommand):
    """Provision the twin: a login that holds SELECT and nothing else, and prove it."""

    help = "Create or update the read-only role of each pair in DATABASES, then log in as it and prove it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add(
            "--database",
            action="append",
            metavar="ALIAS",
            help="writer alias (repeatable); default: every pair",
        )
        add(
            "--admin-url",
            metavar="URL",
            help=f"login that may create roles; default: {ADMIN_URL} (which ps does not show), else the writer",
        )
        add("--schema", action="append", metavar="NAME", help="only this schema (repeatable); default: all")
        add(
            "--harden",
            action="store_true",
            help="also take from PUBLIC what still writes; prints the undo script",
        )
        add("--rotate-password", action="store_true", help="set the role's password to the one in DATABASES")
        add("--enable", action="store_true", help="then switch read-only, as read_only on does")
        add("--force", action="store_true", help="with --drop: end the role's sessions first")
        verb = parser.add_mutually_exclusive_group()
        verb.add_argument("--dry-run", action="store_true", help="print the plan; change nothing")
        verb.add_argument("--sql", action="store_true", help="print the plan as a psql script; change nothing")
        verb.add_argument("--check", action="store_true", help="exit 1 and list what drifted; change nothing")
        verb.add_argument(
            "--drop", action="store_true", help="revoke everything it was granted, then drop the role"
        )

    def handle(self, **options: Any) -> None:
        _refuse_idle_options(options)
        try:
            targets = self._targets(options)
            if options["sql"]:
                # Each before the first is printed: half a script is none.
                for text in [self._script(target, options) for target in targets]:
                    self.stdout.write(text)
                return
            for target in targets:
                self._run(target, options)
            if options["enable"]:
                call_command("read_only", "on", **_switch_options(options), stdout=self.stdout, stderr=self.stderr)
        except ReadOnlyRouterError as error:
            raise CommandError(str(error)) from None
        except psycopg.Error as error:
            raise CommandError(
                f"PostgreSQL said: {one_line(error)}; see what it names, and run this again."
            ) from None

    def _targets(self, options: dict[str, Any]) -> list[Target]:
        """Return every target, each found provisionable before the first is touched."""
        way = admin(options["admin_url"])
        schemas = tuple(options["schema"]) if options["schema"] else None
        targets = [
            target_for(alias, admin=way, schemas=schemas, rotate=options["rotate_password"])
            for alias in options["database"] or conf.twins()
        ]
        if len(targets) > 1 and not options["drop"]:
            for target in targets:
                preview(target, dba=options["sql"])
        return targets

    def _run(self, target: Target, options: dict[str, Any]) -> None:
        if options["drop"]:
            self._drop(target, force=options["force"])
        elif options["dry_run"]:
            _, plan, hardening = preview(target, harden=options["harden"])
            self._print_plan(target, plan, hardening)
        elif options["check"]:
            self._check(target)
        else:
            self._provision(target, harden=options["harden"])

    def _script(self, target: Target, options: dict[str, Any]) -> str:
        _, plan, hardening = preview(target, harden=options["harden"], dba=True)
        return script.render(target.role, plan, hardening)

    def _provision(self, target: Target, *, harden: bool) -> None:
        report = provision(target, harden=harden, tell=self.narrate)
        outcome = f"{report.statements} statements" if report.statements else "nothing to do"
        self._title(target, outcome + _untried(report))
        self._print_gaps(report.plan.gaps)
        self._print_hardening(report.hardening)
        self._print_proof(report.proof)
        if report.late:
            raise CommandError(
                f"Still open: {', '.join(report.late)}. Tables they create may not be readable; "
                "run this again when they are over."
            )
        self._refuse_unproved(report)

    def _check(self, target: Target) -> None:
        report = check(target)
        drift = [statement.says for statement in report.plan.statements]
        self._title(target, (f"{len(drift)} differences" if drift else "as wanted") + _untried(report))
        self._lines("  to do: {}", drift)
        self._print_gaps(report.plan.gaps)
        self._print_proof(report.proof)
        if drift:
            raise CommandError(
                f"Role '{target.role.name}' differs from what is wanted; run create_readonly_role without --check."
            )
        self._refuse_unproved(report)

    def _drop(self, target: Target, *, force: bool) -> None:
        count, dropped = drop(target, force=force, tell=self.narrate)
        outcome = f"{'dropped' if dropped else 'kept'}, {count} statements" if count else "nothing to drop"
        self._title(target, outcome)

    def _refuse_unproved(self, report: Report) -> None:
        proof = report.proof
        if proof is None or report.holds:
            return
        raise CommandError(
            f"Role '{report.target.role.name}' is not proved: {len(proof.unreadable)} relations are not readable, "
            f"{len(proof.landed)} writes are possible, {len(proof.differences)} settings differ; "
            "mend the lines above and run this again."
        )

    def _print_plan(self, target: Target, plan: Plan, hardening: Plan) -> None:
        count = len(plan.statements) + len(hardening.statements)
        self._title(target, f"would run {count} statements" if count else "nothing to do")
        for statement in (*plan.statements, *hardening.statements):
            self.answer(f"  {statement.step.value}: {statement.says} [as {statement.actor.value}]")
        self._print_gaps(plan.gaps)
        self._print_hardening(hardening)

    def _print_hardening(self, hardening: Plan) -> None:
        self._lines("  hardening breaks: {}", hardening.breaks)
        if hardening.undo:
            self.answer("  undo script of the hardening:")
            self._lines("    {};", hardening.undo)

    def _print_gaps(self, gaps: Iterable[Gap]) -> None:
        for gap in gaps:
            kind = "WRITES, not revoked" if gap.writes else "not done"
            self.answer(f"  {kind}: {gap.says}")
            self.answer(f"    {gap.statement};")

    def _print_proof(self, proof: Proof | None) -> None:
        if proof is None:
            return
        untried = f", not tried: {len(proof.untried)}" if proof.untried else ""
        self.answer(f"  relations readable: {proof.readable}, not readable: {len(proof.unreadable)}{untried}")
        self.answer(f"  write probes refused: {proof.refused}, writes possible: {len(proof.landed)}")
        self._lines("  NOTE: {}", proof.notes)
        self._lines("  NOT TRIED, its owner is not of the site: {}", proof.untried)
        for gap in proof.unreadable:
            self.answer(f"  NOT READABLE: {gap.says}")
            self.answer(f"    {gap.statement};")
        for gap in proof.differences:
            self.answer(f"  DIFFERS: {gap.says}")
            self.answer(f"    {gap.statement};")
        self._print_powers("  WRITES: {}", proof.landed)
        self.answer(f"  powers left: {len(proof.powers)}")
        self._print_powers("    {}", proof.powers)

    def _print_powers(self, form: str, powers: Iterable[Power]) -> None:
        for power in powers:
            line = f"{power.says}: {power.statement};" if power.statement else f"{power.says} (nothing removes it)"
            self.answer(form.format(line))

    def _title(self, target: Target, outcome: str) -> None:
        self.answer(f"{target.writer_alias} -> {target.twin_alias}: role {target.role.name}: {outcome}")

    def _lines(self, form: str, lines: Iterable[str]) -> None:
        for line in lines:
            self.answer(form.format(line))


def _untried(report: Report) -> str:
    """Return the rest of the summary line: what hangs on these relations is neither proved nor refuted."""
    untried = report.proof.untried if report.proof else ()
    return f", {len(untried)} relations not tried" if untried else ""


# Options that mean nothing beside a verb: ignoring them would say something was done that was not.
_IDLE = {
    "check": ("harden", "rotate_password", "enable"),
    "drop": ("harden", "rotate_password", "schema", "enable"),
    "dry_run": ("enable",),
    "sql": ("enable",),
}


def _switch_options(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("database", "admin_url") if options[name]}


def _refuse_idle_options(options: dict[str, Any]) -> None:
    idle = [name for verb, names in _IDLE.items() if options[verb] for name in names if options[name]]
    if options["force"] and not options["drop"]:
        idle.append("force")
    if idle:
        option = idle[0].replace("_", "-")
        raise CommandError(f"--{option} has no effect with these options; leave it out.", returncode=2)
