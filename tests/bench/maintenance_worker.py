"""A process of the example site that throws django-maintenance-mode's switch, by a file or by a cache."""

from __future__ import annotations

import time

import django

from tests.bench.workers import serve


def main() -> None:
    django.setup()
    serve({"throw": _throw})


def _throw(on: bool) -> float:
    from maintenance_mode.core import set_maintenance_mode

    set_maintenance_mode(on)
    return time.monotonic()


if __name__ == "__main__":
    main()
