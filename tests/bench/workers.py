"""Processes of a settings variant each, which answer questions one line of JSON at a time; both ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# What the caller's shell holds must not decide what is measured.
_OURS = ("DB_", "DATABASE_", "DJANGO_", "BENCH_", "COVERAGE_", "PYTEST_")


class WorkerError(Exception):
    """A process of the bench did not do what it was asked; its own words stand on stderr."""


class Worker:
    """A running process of one module, asked by `ask`, ended by leaving the block."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self.name = f"{module} ({environment.get('BENCH_VARIANT', '')})"
        self._asked = ""
        self._process = subprocess.Popen(
            command(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=clean_environment(environment),
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        # The end of its input ends a worker; communicate() closes the pipes and waits.
        try:
            self._process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def ask(self, question: str, **arguments: Any) -> Any:
        """Return the worker's answer to one question."""
        self.send(question, **arguments)
        return self.receive()

    def send(self, question: str, **arguments: Any) -> None:
        """Put a question; `receive` returns the answer."""
        assert self._process.stdin is not None
        self._asked = question
        try:
            self._process.stdin.write(json.dumps([question, arguments]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(f"{self.name} ended early") from None

    def receive(self) -> Any:
        """Return the answer to what was sent, or what the worker says before it."""
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise WorkerError(f"{self.name} ended at '{self._asked}'")
        return json.loads(answer)


def command(module: str) -> list[str]:
    return [sys.executable, "-m", f"tests.bench.{module}"]


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker: the same for all but for what is named here."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    # A hash seed of its own would give each process other dictionaries.
    fixed = {"DJANGO_SETTINGS_MODULE": "tests.bench.settings", "PYTHONHASHSEED": "0"}
    return {**inherited, **fixed, **environment}


def serve(answers: Mapping[str, Callable[..., Any]]) -> None:
    """Answer questions until the input ends."""
    for line in sys.stdin:
        question, arguments = json.loads(line)
        say(answers[question](**arguments))


def say(answer: Any) -> None:
    """Tell the bench something: an answer, or that the work on it began."""
    print(json.dumps(answer), flush=True)
