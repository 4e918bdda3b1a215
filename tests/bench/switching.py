"""Part (d): the switch: its reach, its drain, what following costs, and what visitors meet."""

from __future__ import annotations

import os

from tests.bench import draining, following, reach, sequences, serving
from tests.bench.fleet import site

# Of the small project, in this order: the last fills the database.
TOPICS = (reach, draining, following, sequences)


def report(server: str, *, quick: bool) -> str:
    """Measure and return the tables, with how busy the machine was."""
    load = [os.getloadavg()[0]]
    tables = []
    with site(server, rows=reach.FULL.processes) as where:
        for topic in TOPICS:
            tables.append(topic.report(where, quick=quick))
            load.append(os.getloadavg()[0])
    tables.append(serving.report(server, quick=quick))
    load.append(os.getloadavg()[0])
    loads = ", ".join(f"{each:.1f}" for each in load)
    return "\n".join(
        (*tables, f"\n{os.cpu_count()} processors; load at the start and after each of these: {loads}.")
    )
