"""A forwarder of TCP that can stand still: the network that is cut where there are no namespaces."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.ledger.networks import Network

CHUNK = 1 << 16
TURN_SECONDS = 0.05


class Forwarder:
    """One thread that hands bytes over between clients and the server, both ways."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._door = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._door, selectors.EVENT_READ)
        self._moving, self._ended = threading.Event(), threading.Event()
        self._moving.set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def network(self) -> Network:
        """Return the way through it."""
        host, port = self._door.getsockname()
        still, on = self._moving.clear, self._moving.set
        return Network(means="a TCP forwarder", way=f"{host}:{port}", cut=still, mend=on)

    def end(self) -> None:
        """Close everything."""
        self._ended.set()
        self._moving.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # sockets alone are registered
        self._selector.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._moving.wait()
            for key, _ in self._selector.select(TURN_SECONDS):
                if not self._moving.is_set():
                    break
                # Closed by its partner's end in this same turn.
                if key.fileobj in {known.fileobj for known in self._selector.get_map().values()}:
                    self._accept() if key.fileobj is self._door else self._hand_over(key.fileobj, key.data)

    def _accept(self) -> None:
        client, _ = self._door.accept()
        try:
            server = socket.create_connection(self._server, timeout=5)
        except OSError:
            client.close()
            return
        self._selector.register(client, selectors.EVENT_READ, server)
        self._selector.register(server, selectors.EVENT_READ, client)

    def _hand_over(self, source: socket.socket, target: socket.socket) -> None:
        try:
            data = source.recv(CHUNK)
            target.sendall(data)
        except OSError:
            data = b""
        if not data:
            for end in (source, target):
                with suppress(KeyError):
                    self._selector.unregister(end)
                end.close()


@contextmanager
def forwarder(host: str, port: int) -> Iterator[Network]:
    """Forward to a server for the length of the block."""
    made = Forwarder(host, port)
    try:
        yield made.network()
    finally:
        made.end()
