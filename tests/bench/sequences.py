"""How long `on` and `verify` take where there are many sequences, each of which they read."""

from __future__ import annotations

import sys
import time

from psycopg import sql

from tests.bench import figures
from tests.bench.fleet import ASKED, fleet
from tests.bench.place import Place

COUNT, ROUNDS = 10_000, 7
QUICK_COUNT, QUICK_ROUNDS = 50, 1
# A commit now and then, or the locks run out.
_SEQUENCES = """DO $$ BEGIN FOR number IN 1..{count} LOOP
    EXECUTE format('CREATE SEQUENCE public.sequence_%s', number);
    IF number % 500 = 0 THEN COMMIT; END IF;
END LOOP; END $$"""


def report(where: Place, *, quick: bool) -> str:
    """Measure and return the table."""
    count, rounds = (QUICK_COUNT, QUICK_ROUNDS) if quick else (COUNT, ROUNDS)
    on, verify, size = [], [], 0
    _create(where, count)
    floor, version = _floor(where, rounds)
    with fleet(where.environment, size=1) as (operator,):
        for number in range(rounds):
            print(f"sequences: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            thrown = operator.ask("on")
            on.append(thrown["receipt"] - thrown[ASKED])
            answered = operator.ask("verify")
            verify.append(answered["answered"] - answered[ASKED])
            size = answered["bytes"]
            operator.ask("off")
    return figures.table(
        f"{count:,} sequences on PostgreSQL {version} ({rounds} rounds)",
        ("seconds", "median", "95 % interval", "longest"),
        (
            ("`verify`", *figures.seconds(verify)),
            ("`on`, to the receipt", *figures.seconds(on)),
            ("a plain query for their names and values", *figures.seconds(floor)),
        ),
        f"The receipt has {size:,} bytes.",
    )


def _create(where: Place, count: int) -> None:
    with where.superuser() as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(where.writer)))
        connection.execute("SET synchronous_commit = off")
        connection.execute(_SEQUENCES.format(count=count).encode())
        connection.execute("RESET ROLE")
        connection.execute("VACUUM (ANALYZE)")


def _floor(where: Place, rounds: int) -> tuple[list[float], str]:
    """Return the seconds of a query without names spelt for SQL, without is_called; and the server's version."""
    found = []
    with where.superuser() as connection:
        for _ in range(rounds):
            began = time.monotonic()
            connection.execute("SELECT schemaname, sequencename, last_value FROM pg_sequences").fetchall()
            found.append(time.monotonic() - began)
        return found, str(connection.info.parameter_status("server_version")).split()[0]
