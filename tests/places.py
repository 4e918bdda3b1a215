"""Where a twin may lead by mistake: another database of the server, a copy of it elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests import database
from tests.database import Scratch, entry
from tests.embedded import embedded_server
from tests.switch.stage import prepare


@contextmanager
def another_database(scratch: Scratch) -> Iterator[str]:
    """Lead the twin to an empty database of the same server; return its name."""
    name = f"{scratch.name}_other"
    with psycopg.connect(scratch.server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            with entry(scratch.twin_alias, NAME=name):
                yield name
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def copy_elsewhere(scratch: Scratch) -> Iterator[Scratch]:
    """Make a server with a copy of the database, its roles and its twin, of other data; lead the twin there."""
    with embedded_server() as server:
        copy = replace(scratch, server=server)
        database._create(copy, "", "")
        prepare(copy)
        copy.run("INSERT INTO note (text) VALUES ('of the copy')")
        with leading_to(scratch, server):
            yield copy


@contextmanager
def leading_to(scratch: Scratch, server: str) -> Iterator[None]:
    """Lead the twin to another server for a block."""
    parts = urlsplit(server)
    with entry(scratch.twin_alias, HOST=parts.hostname, PORT=parts.port):
        yield
