"""The operator: throws the switch by manage.py, which may be killed, or by the Python API in a process at hand."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ledger.places import MANAGE, ROOT, SECONDS, Place

HELD_OUT, KILLED = 3, -signal.SIGKILL


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a throw came to: the command's exit status, what it said, and its receipt where there is one."""

    status: int
    said: str
    receipt: dict[str, Any] | None = None

    @property
    def killed(self) -> bool:
        return self.status == KILLED


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How patient `on` is, in seconds."""

    grace: float
    deadline: float


class Operator:
    """Whoever throws the switch of a place."""

    def __init__(self, place: Place, desk: subprocess.Popen[str]) -> None:
        self._place, self._desk = place, desk

    def on(self, timing: Timing, *, by_command: bool, kill_after: float | None = None) -> Answer:
        """Switch read-only; a command may be killed after a while."""
        if not by_command:
            return self._ask("on", grace=timing.grace, deadline=timing.deadline)
        options = [f"--grace={timing.grace}s", f"--deadline={timing.deadline}s", "--json"]
        answer = self._run(["on", *options], kill_after=kill_after)
        if answer.status != 0:
            return answer
        return Answer(status=0, said=answer.said, receipt=json.loads(answer.said)[0])

    def off(self, *, by_command: bool, kill_after: float | None = None) -> Answer:
        """Open again."""
        return self._run(["off"], kill_after=kill_after) if by_command else self._ask("off")

    def verify(self, receipt: dict[str, Any], *, by_command: bool) -> Answer:
        """Ask whether anything was written since.

        Where the site's login may not see a session, and so cannot tell, a superuser asks again.
        """
        answer = self._verify(receipt, by_command=by_command, admin="")
        if answer.status != 0 and undecided(answer.said):
            answer = self._verify(receipt, by_command=by_command, admin=self._place.admin_url)
        return answer

    def _verify(self, receipt: dict[str, Any], *, by_command: bool, admin: str) -> Answer:
        if not by_command:
            return self._ask("verify", receipt=receipt, admin=admin)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "receipt.json")
            file.write_text(json.dumps([receipt]))
            return self._run(["verify", str(file), *([f"--admin-url={admin}"] if admin else [])])

    def status(self, *, by_command: bool) -> dict[str, Any]:
        """Return how the switch stands, as the command or the library tells."""
        answer = self._run(["status", "--json"]) if by_command else self._ask("status")
        found: dict[str, Any] = json.loads(answer.said)
        return found["default"]

    def _run(self, arguments: Sequence[str], *, kill_after: float | None = None) -> Answer:
        process = subprocess.Popen(
            [sys.executable, str(MANAGE), "read_only", *arguments],
            env=self._place.environment("request"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            if kill_after is not None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(kill_after)
                process.kill()
            out, err = process.communicate(timeout=SECONDS)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        said = out if process.returncode == 0 or "--json" in arguments else f"{out}{err}"
        return Answer(status=process.returncode, said=said)

    def _ask(self, verb: str, **arguments: Any) -> Answer:
        assert self._desk.stdin is not None
        assert self._desk.stdout is not None
        self._desk.stdin.write(json.dumps([verb, arguments]) + "\n")
        self._desk.stdin.flush()
        answer = self._desk.stdout.readline()
        assert answer, "the operator's process is gone"
        return Answer(**json.loads(answer))


def undecided(said: str) -> tuple[int, ...]:
    """Return the sessions of which verify could not tell, where it found nothing else."""
    found = [
        line for line in said.splitlines() if re.match(r"\s*(process|sequence|table|prepared|the server)", line)
    ]
    told = [re.match(r"\s*process (\d+) of .* may have written", line) for line in found]
    return tuple(int(match[1]) for match in told if match) if all(told) else ()


@contextmanager
def operator(place: Place) -> Iterator[Operator]:
    """Have an operator with a process of the site at hand; it ends with this one."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.operators"],
        env=place.environment("request"),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as desk:
        try:
            yield Operator(place, desk)
        finally:
            desk.kill()


# -- the process at hand


def _on(grace: float, deadline: float) -> dict[str, Any]:
    from readonly_router import switch_on

    said: list[str] = []
    (receipt,) = switch_on(grace=grace, deadline=deadline, tell=said.append)
    return {"status": 0, "said": "\n".join(said), "receipt": json.loads(receipt.to_json())}


def _off() -> dict[str, Any]:
    from readonly_router import switch_off

    said: list[str] = []
    switch_off(tell=said.append)
    return {"status": 0, "said": "\n".join(said)}


def _verify(receipt: dict[str, Any], admin: str) -> dict[str, Any]:
    from readonly_router import Receipt
    from readonly_router.management import logins
    from readonly_router.switch import reports

    verdict = reports.verify(Receipt.from_json(json.dumps(receipt)), admin=logins.admin(admin or None))
    return {"status": 0 if verdict.clean else 1, "said": "\n".join((*verdict.moved, *verdict.noted))}


def _status() -> dict[str, Any]:
    from readonly_router.management import lines
    from readonly_router.switch import reports

    found = {"default": lines.state_object("default", reports.state_of("default"))}
    return {"status": 0, "said": json.dumps(found, default=str)}


_ANSWERS = {"on": _on, "off": _off, "verify": _verify, "status": _status}


def main() -> None:
    import django

    from readonly_router import DrainError, ReadOnlyRouterError

    django.setup()
    for line in sys.stdin:
        verb, arguments = json.loads(line)

        try:
            answer = _ANSWERS[verb](**arguments)
        except ReadOnlyRouterError as error:
            said = "; ".join((f"{type(error).__name__}: {error}", *getattr(error, "sessions", ())))
            answer = {"status": HELD_OUT if isinstance(error, DrainError) else 1, "said": said}

        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
