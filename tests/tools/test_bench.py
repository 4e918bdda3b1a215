"""The bench runs from end to end; its figures are nobody's to assert."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _bench(*arguments: str, server: str, seconds: int = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", *arguments],
        cwd=ROOT,
        env={**os.environ, "TEST_DATABASE_URL": server},
        capture_output=True,
        text=True,
        timeout=seconds,
    )


def test_bench_prints_a_table_per_part_with_its_bar(server: str) -> None:
    # The queries need the alternatives installed: make bench.
    done = _bench("import", "provision", "http", "--quick", server=server)
    assert (done.returncode, done.stdout.count("### "), done.stdout.count("Bar: ")) == (0, 5, 8), (
        done.stdout + done.stderr
    )


@pytest.mark.slow
def test_bench_of_the_switch_prints_a_table_for_each_of_its_bars(server: str) -> None:
    # What people use instead is measured where it is installed: make bench.
    done = _bench("switch", "--quick", server=server, seconds=900)
    tables = [f"### {title}" in done.stdout for title in ("Reach", "`on` with", "A request", "Closing")]
    assert (done.returncode, all(tables), "Bar: no request lost: **met**" in done.stdout) == (0, True, True), (
        done.stdout + done.stderr
    )


def test_bench_names_its_parts_when_asked_for_another(server: str) -> None:
    done = _bench("speed", server=server)
    assert (done.returncode, "query, provision, import" in done.stderr) == (2, True)


def test_bench_fails_in_one_line_where_a_part_cannot_run() -> None:
    done = _bench("provision", "--quick", server="postgres://nobody@127.0.0.1:1/nothing")
    assert (done.returncode, done.stderr.splitlines()[-1][:22]) == (1, "The bench did not run:")
