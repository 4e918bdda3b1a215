"""A network between clients and server that can be cut: a network namespace where the machine allows one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# Kept by a shell that waits for the end of its input, so that nothing is left however this process ends.
WATCHER = """
trap '' HUP INT TERM
ip netns add "$1" &&
ip link add "$1h" type veth peer name "$1c" &&
ip link set "$1c" netns "$1" &&
ip addr add "$2/30" dev "$1h" &&
ip link set "$1h" up &&
ip -n "$1" addr add "$3/30" dev "$1c" &&
ip -n "$1" link set lo up &&
ip -n "$1" link set "$1c" up &&
echo made || echo failed
read -r _
ip netns del "$1" 2>/dev/null
ip link del "$1h" 2>/dev/null
true
"""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A way to the server: `way` is its HOST:PORT there, `prefix` what a client's command begins with."""

    means: str
    way: str
    cut: Callable[[], None]
    mend: Callable[[], None]
    prefix: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """A network namespace whose one link leads to the machine; `address` is the machine's end."""

    name: str
    address: str

    def network(self, port: int) -> Network:
        """Return the way to a server that listens on the address."""
        return Network(
            means="ip netns",
            way=f"{self.address}:{port}",
            # At the clients' end: the server's address stays.
            cut=lambda: self._set("down"),
            mend=lambda: self._set("up"),
            prefix=("ip", "netns", "exec", self.name),
        )

    def _set(self, state: str) -> None:
        subprocess.run(["ip", "-n", self.name, "link", "set", f"{self.name}c", state], check=True)


def has_namespaces() -> bool:
    """Return whether this user may make network namespaces."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


@contextmanager
def namespace(*, wanted: bool = True) -> Iterator[Namespace | None]:
    """Make a namespace; None where none is wanted, or the machine does not allow it."""
    if not (wanted and has_namespaces()):
        yield None
        return
    # 198.18.0.0/15 is for benchmarks between networks (RFC 2544): nobody's address.
    name, net = f"ledger{os.getpid()}", os.getpid() % (1 << 15)
    first = (198 << 24) + (18 << 16) + (net << 2)
    address, other = (".".join(str(byte) for byte in (first + end).to_bytes(4, "big")) for end in (1, 2))
    watcher = subprocess.Popen(
        ["sh", "-c", WATCHER, "namespace-watcher", name, address, other],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert watcher.stdout is not None
        yield Namespace(name=name, address=address) if watcher.stdout.readline() == "made\n" else None
    finally:
        watcher.communicate("end\n")
