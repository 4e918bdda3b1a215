#!/usr/bin/env python
"""Commands of the example site: `python tests/example/manage.py migrate`, from any directory."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def put_checkout_on_path() -> None:
    """Make `tests.example` importable, and keep this directory's modules from being importable twice."""
    root = str(HERE.parent.parent)
    sys.path[:] = [root, *(entry for entry in sys.path if entry not in (root, str(HERE)))]


def main() -> None:
    put_checkout_on_path()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.example.settings")
    from django.core.management import execute_from_command_line  # after the path is set

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
