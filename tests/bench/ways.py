"""The ways to close a site that is served by a gunicorn: ours, and what people use instead."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.bench import OURS
from tests.bench.fleet import SHOP, fleet
from tests.bench.web import Web
from tests.bench.workers import Worker


class Way:
    """One way; `name` is what the tables call it and `variant` what the settings do."""

    name: str
    variant: str

    def __init__(self, environment: Mapping[str, str], file: Path, workers: int) -> None:
        self.database, self.file, self.workers = environment, file, workers
        self.file.write_text("0")

    @property
    def environment(self) -> dict[str, str]:
        """What a process of the site needs."""
        return {**self.database, **SHOP, "BENCH_VARIANT": self.variant, "BENCH_FILE": str(self.file)}

    @contextmanager
    def operator(self) -> Iterator[None]:
        """Have at hand what closes and opens."""
        yield

    def close(self, web: Web) -> tuple[float, float]:
        """Close the site; return when that took effect for whoever asks, and when it was said to be done."""
        raise NotImplementedError

    def open(self, web: Web) -> None:
        raise NotImplementedError


class Switch(Way):
    name, variant = f"{OURS}, `read_only on`", OURS

    @contextmanager
    def operator(self) -> Iterator[None]:
        with fleet(self.database, size=1) as (self._worker,):
            yield

    def close(self, web: Web) -> tuple[float, float]:
        times = self._worker.ask("on")
        return times["committed"], times["receipt"]

    def open(self, web: Web) -> None:
        self._worker.ask("off")


class Maintenance(Way):
    @contextmanager
    def operator(self) -> Iterator[None]:
        with Worker("maintenance_worker", self.environment) as self._worker:
            yield

    def close(self, web: Web) -> tuple[float, float]:
        done = self._worker.ask("throw", on=True)
        return done, done

    def open(self, web: Web) -> None:
        self._worker.ask("throw", on=False)


class MaintenanceFile(Maintenance):
    name, variant = "django-maintenance-mode, its file", "maintenance, file"


class MaintenanceCache(Maintenance):
    name, variant = "django-maintenance-mode, a database cache", "maintenance, cache"


class Restart(Way):
    name, variant = "a rolling restart with `DB_READ_ONLY=1`", OURS

    def close(self, web: Web) -> tuple[float, float]:
        return self._restart(web, "1")

    def open(self, web: Web) -> None:
        self._restart(web, "0")

    def _restart(self, web: Web, mode: str) -> tuple[float, float]:
        self.file.write_text(mode)
        began = time.monotonic()
        web.restart(self.workers)
        return began, time.monotonic()
