r"""Calls a server function without SQL, as libpq's PQfn does for psql's `\lo_import` and psycopg2's lobject."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator
from typing import Any

import psycopg


def call(connection: psycopg.Connection[Any], function: str, *arguments: int | str) -> str:
    """Call a function of pg_catalog; return the SQLSTATE of its refusal, or 00000.

    The connection must not be encrypted: its socket is spoken to directly, while psycopg is at rest.
    https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-FUNCTION-CALL
    """
    row = connection.execute("SELECT oid FROM pg_proc WHERE proname = %s", [function]).fetchone()
    assert row is not None
    wire = socket.fromfd(connection.fileno(), socket.AF_UNSPEC, socket.SOCK_STREAM)
    with wire:
        wire.sendall(_message(row[0], [_binary(argument) for argument in arguments]))
        answers = dict(_answers(wire))
    error = answers.get(b"E")
    return "00000" if error is None else _sqlstate(error)


def _binary(argument: int | str) -> bytes:
    return struct.pack("!i", argument) if isinstance(argument, int) else argument.encode()


def _message(oid: int, arguments: list[bytes]) -> bytes:
    # One format code for all arguments: 1, binary. So is the result's.
    body = struct.pack("!IHHH", oid, 1, 1, len(arguments))
    body += b"".join(struct.pack("!i", len(argument)) + argument for argument in arguments)
    body += struct.pack("!H", 1)
    return b"F" + struct.pack("!i", len(body) + 4) + body


def _answers(wire: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Yield the server's messages up to ReadyForQuery."""
    kind = b""
    while kind != b"Z":
        kind = _read(wire, 1)
        (length,) = struct.unpack("!i", _read(wire, 4))
        yield kind, _read(wire, length - 4)


def _read(wire: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        ready, _, _ = select.select([wire], [], [], 10)
        assert ready, "the server does not answer"
        more = wire.recv(length - len(found))
        assert more, "the server closed the connection"
        found += more
    return found


def _sqlstate(error: bytes) -> str:
    return next(field[1:].decode() for field in error.split(b"\0") if field[:1] == b"C")
