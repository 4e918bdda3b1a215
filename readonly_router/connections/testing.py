"""A test run in a process that is read-only by its environment: it would read the site's own database."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

from .. import conf, mode
from ..conf import ProcessMode
from ..errors import ConfigurationError

REFUSED = (
    f"{conf.ENVIRONMENT_VARIABLE} is set, and tests make and fill a database of their own; run them without it, "
    "and try the mode in a test with read_only() or disable_writes()."
)


class _Refusing:
    """What makes test databases, asked for their signature before anything else."""

    def test_db_signature(self) -> Any:
        if mode.process() in {ProcessMode.READ_ONLY, ProcessMode.LOCKED}:
            # One refusal, not one of each test.
            if pytest := sys.modules.get("pytest"):
                pytest.exit(REFUSED, returncode=4)
            raise ConfigurationError(REFUSED)
        return super().test_db_signature()  # type: ignore[misc]  # the engine's


@lru_cache
def refusing(base: Any) -> Any:
    """Return an engine's maker of test databases as one that refuses such a run; under the engine's own name."""
    return type(base.__name__, (_Refusing, base), {"__module__": base.__module__})
