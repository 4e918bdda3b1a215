"""python -m tests.ledger [--throws N]: the long form, on servers of its own of every major.

The throws are shared out over the majors, with restarts, crashes, kills and a network that is cut among them. Ends
with a table, and with a status other than 0 if one claim did not hold.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import psycopg

from tests.demo.interrupts import Interrupts
from tests.embedded import EmbeddedServerError
from tests.harness.pgbouncer import pooler, program
from tests.ledger.forwarders import forwarder
from tests.ledger.networks import Namespace, Network, namespace
from tests.ledger.runs import run
from tests.ledger.servers import Server, server
from tests.ledger.tables import table
from tests.ledger.throws import Result
from tests.plugin import url_for
from tests.servers import RELEASES, binaries

# How many of the throws meet a fault.
SHARE = 0.5


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    seed = options.seed or secrets.token_hex(4)
    print(f"The ledger, seed {seed}: {options.throws} throws on PostgreSQL {', '.join(map(str, options.majors))}.")
    results: dict[str, Result] = {}
    began = time.monotonic()
    try:
        with Interrupts() as interrupts:
            for major, throws in _shares(options.majors, options.throws):
                results[f"PostgreSQL {major}"] = _soak(interrupts, major, throws, seed, options)
    except KeyboardInterrupt:
        print("\nInterrupted; what the ledger made is removed.", file=sys.stderr)
        return 130
    except EmbeddedServerError as error:
        print(error, file=sys.stderr)
        return 1
    return _told(results, seed, time.monotonic() - began)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.ledger", description=__doc__)
    parser.add_argument(
        "--throws", type=int, default=500, help="in all, shared out over the majors (default: 500)"
    )
    parser.add_argument("--majors", type=int, nargs="+", default=[*RELEASES], help="of PostgreSQL; default: all")
    parser.add_argument("--seed", help="plan and clients follow from it; default: a new one, which is printed")
    parser.add_argument("--plant", type=int, default=0, metavar="N", help="plant a late write in the N-th throw")
    parser.add_argument("--forwarder", action="store_true", help="cut a TCP forwarder even as root")
    return parser.parse_args(arguments)


def _shares(majors: Sequence[int], throws: int) -> Iterator[tuple[int, int]]:
    for number, major in enumerate(majors):
        yield major, throws // len(majors) + (number < throws % len(majors))


def _soak(interrupts: Interrupts, major: int, throws: int, seed: str, options: argparse.Namespace) -> Result:
    """Run one major's share."""
    with ExitStack() as stack:
        space = stack.enter_context(interrupts.safely(namespace(wanted=not options.forwarder)))
        address = space.address if space else ""
        own = stack.enter_context(interrupts.safely(server(binaries(major), address=address)))
        network = _network(stack, interrupts, own, space)
        bouncer = stack.enter_context(interrupts.safely(_bouncer(own))) if program() else ""
        through = "with PgBouncer" if bouncer else "WITHOUT PgBouncer, which is not on this machine"
        print(f"PostgreSQL {major}: {throws} throws, {through}, the network cut by {network.means}.", flush=True)
        return run(
            own.url,
            seed=f"{seed}/{major}",
            throws=throws,
            share=SHARE,
            bouncer=bouncer,
            restarts=own,
            network=network,
            plant=options.plant,
            safely=interrupts.safely,
        )


def _network(stack: ExitStack, interrupts: Interrupts, own: Server, space: Namespace | None) -> Network:
    parts = urlsplit(own.url)
    host, port = str(parts.hostname), int(parts.port or 0)
    return space.network(port) if space else stack.enter_context(interrupts.safely(forwarder(host, port)))


@contextmanager
def _bouncer(own: Server) -> Iterator[str]:
    """Run PgBouncer before a server and give its HOST:PORT."""
    with pooler(own.url) as url:
        with psycopg.connect(url_for(url, database="pgbouncer"), autocommit=True) as console:
            # Its server goes away and comes back here more often than elsewhere; seconds.
            console.execute("SET server_login_retry = 1")
        yield urlsplit(url).netloc.rpartition("@")[2]


def _told(results: Mapping[str, Result], seed: str, seconds: float) -> int:
    """Print the table and return the exit status."""
    for line in table(results):
        print(line)
    imbalances = sum(len(result.imbalances) for result in results.values())
    verdict = f"{imbalances} imbalances" if imbalances else "Balanced"
    print(f"{verdict}, in {seconds:.0f} seconds, seed {seed}.")
    return 1 if imbalances else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
