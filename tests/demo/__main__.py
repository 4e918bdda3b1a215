"""python -m tests.demo: tell the story on an embedded server, or on the one in DATABASE_URL."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.embedded import EmbeddedServerError, embedded_server

from .interrupts import Interrupts
from .stage import DemoError, refuse_powerless
from .story import tell


@contextmanager
def server(interrupts: Interrupts) -> Iterator[str]:
    """Give the URL of a login that may create databases and roles."""
    if os.environ.get("DATABASE_URL", "").strip():
        refuse_powerless(os.environ)
        print("The server is the one in DATABASE_URL; what the demo makes there, it removes.", flush=True)
        yield os.environ["DATABASE_URL"].strip()
        return
    print("The server is an embedded PostgreSQL, ended with the demo.", flush=True)
    with interrupts.safely(embedded_server()) as url:
        yield url


def main() -> int:
    started = time.monotonic()
    try:
        with Interrupts() as interrupts, server(interrupts) as url:
            status = tell(url, interrupts)
    except KeyboardInterrupt:
        print("\nInterrupted; what the demo made is removed.", file=sys.stderr)
        return 130
    except (DemoError, EmbeddedServerError) as error:
        print(error, file=sys.stderr)
        return 1
    verdict = "Every step as told" if status == 0 else "Not as told"
    print(f"{verdict}, in {time.monotonic() - started:.0f} seconds.")
    return status


if __name__ == "__main__":
    sys.exit(main())
