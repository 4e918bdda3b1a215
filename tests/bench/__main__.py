"""The command: chooses the parts, finds or starts the server, prints a table per part."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from tests.bench import provisioning, query, startup, switching, visiting
from tests.bench.workers import WorkerError
from tests.embedded import EmbeddedServerError, embedded_server

PARTS: dict[str, Callable[..., str]] = {
    "query": query.report,
    "provision": provisioning.report,
    "import": startup.report,
    "switch": switching.report,
    "http": visiting.report,
}


def main() -> int:
    options = _parse()
    try:
        with _server() as server:
            for name in options.parts or PARTS:
                print(PARTS[name](server, quick=options.quick), flush=True)
    except (WorkerError, EmbeddedServerError, psycopg.Error, subprocess.SubprocessError) as error:
        print(f"The bench did not run: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    # No `choices`: argparse would check the empty list against them too.
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default all")
    parser.add_argument("--quick", action="store_true", help="a smoke run: the figures mean nothing")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part '{min(unknown)}'; there are {', '.join(PARTS)}")
    return options


@contextmanager
def _server() -> Iterator[str]:
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    with embedded_server() as url:
        yield url


if __name__ == "__main__":
    sys.exit(main())
