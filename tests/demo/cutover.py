"""The cutover: two gunicorns take orders without pause while one command switches them read-only, and back."""

from __future__ import annotations

import json
import signal

from .ledger import FAILED, READ, REFUSED, TAKEN
from .site import Browser, process
from .tale import Tale, expect, found, printed, typed, wait_for

SERVERS = 2
# From each server, before the story goes on.
ORDERS = 20
REASON = "moving to a new server"
MANAGE = "python tests/example/manage.py read_only"


def serve_fleet(tale: Tale) -> None:
    """The cutover: a fleet that takes orders, and a script that writes down each answer"""
    with tale.stage.connect() as connection:
        connection.execute("UPDATE shop_product SET stock = 100000")
    typed("export DJANGO_SETTINGS_MODULE=tests.demo.settings")
    typed(*["python -m gunicorn --config python:tests.demo.gunicorn_config tests.example.wsgi"] * SERVERS)
    tale.serve_fleet(SERVERS)
    printed(*(f"gunicorn listens at {server}" for server in tale.fleet))
    typed(f"python -m tests.demo.load ledger.jsonl {' '.join(tale.fleet)}")
    load = process(
        {}, "-m", "tests.demo.load", str(tale.ledger.path), *tale.fleet, log=tale.stage.folder / "load.log"
    )
    tale.load = tale.running.enter_context(tale.interrupts.safely(load))
    _wait_for_orders(tale)
    found(f"{tale.ledger.count(TAKEN)} orders acknowledged so far, by both servers")


def _wait_for_orders(tale: Tale) -> None:
    """Wait for more orders from each server than it has acknowledged until now."""
    for server in tale.fleet:
        wanted = tale.ledger.count(TAKEN, server) + ORDERS
        wait_for(
            lambda server=server, wanted=wanted: tale.ledger.count(TAKEN, server) >= wanted,
            f"{server} did not take {ORDERS} orders",
        )


def _read_only(tale: Tale, *arguments: str, status: int = 0) -> str:
    said = tale.manage("read_only", *arguments, "--no-color", status=status)
    printed(*said.replace(f"{tale.stage.folder}/", "").splitlines())
    return said


def switch_on(tale: Tale) -> None:
    """One command, no restart: each step as it happens, and a receipt when no write can land any more"""
    typed(f"{MANAGE} on --reason '{REASON}' --eta 30m --receipt receipt.json")
    words = ("--reason", REASON, "--eta", "30m", "--receipt", str(tale.receipt))
    _read_only(tale, "on", *words)
    expect(tale.receipt.exists(), "there is no receipt")


def refuse_orders(tale: Tale) -> None:
    """An order is refused at each server, and the answer says why and until when"""
    for server in tale.fleet:
        answer = Browser().post(f"{server}/order/", email="late@example.com", **{"quantity_SHOP-001": "1"})
        found(f"POST {server}/order/  HTTP {answer.status}")
        words = answer.body.decode()
        expect(answer.status == 503 and "eta" in words and REASON in words, f"not refused so: {words[:300]}")
    printed(words)


def read_on(tale: Tale) -> None:
    """Everybody reads on"""
    for server in tale.fleet:
        status = Browser().get(f"{server}/").status
        found(f"GET  {server}/        HTTP {status}")
        expect(status == 200, "the page cannot be read")
    _wait_for_refusals(tale)
    found(f"the script: {tale.ledger.count(READ)} pages read, {tale.ledger.count(REFUSED)} orders refused so far")


def _wait_for_refusals(tale: Tale) -> None:
    for server in tale.fleet:
        wait_for(
            lambda server=server: tale.ledger.count(REFUSED, server) >= ORDERS, f"{server} did not refuse orders"
        )


def ask_status(tale: Tale) -> None:
    """Any host can ask how it stands: exit status 1 is read-only"""
    typed(f"{MANAGE} status --exit-code")
    said = _read_only(tale, "status", "--exit-code", status=1)
    expect("READ-ONLY" in said and REASON in said, f"not what it says: {said}")
    found("exit status 1")


def verify(tale: Tale) -> None:
    """Is a copy made since the receipt whole? Yes, for nothing was written: exit status 0"""
    typed(f"{MANAGE} verify receipt.json")
    said = _read_only(tale, "verify", str(tale.receipt))
    expect("nothing was written" in said, f"not what it says: {said}")
    found("exit status 0")
    tale.written_after_the_receipt = _written_since(tale)


# A row keeps the 32 low bits of the transaction id that wrote it.
_SINCE = """SELECT count(*) FROM shop_order
    WHERE (xmin::text::bigint - %(id)s %% 4294967296 + 4294967296) %% 4294967296 < 2147483648"""


def _written_since(tale: Tale) -> int:
    """Count the orders whose transaction is not older than the receipt."""
    receipt = json.loads(tale.receipt.read_text())[0]
    with tale.stage.connect() as connection:
        row = connection.execute(_SINCE, {"id": receipt["horizon"]["next_xid"]}).fetchone()
    return int(row[0]) if row else -1


def switch_off(tale: Tale) -> None:
    """Open again: the same processes take orders at once"""
    typed(f"{MANAGE} off")
    _read_only(tale, "off")
    _wait_for_orders(tale)
    typed(f"{MANAGE} history")
    _read_only(tale, "history")


def balance(tale: Tale) -> None:
    """The ledger: what was acknowledged is there, and nothing else"""
    assert tale.load is not None
    tale.load.send_signal(signal.SIGTERM)
    tale.load.wait(timeout=30)
    acknowledged = {entry.order for entry in tale.ledger.entries(TAKEN)}
    with tale.stage.connect() as connection:
        rows = connection.execute("SELECT email FROM shop_order WHERE email LIKE '%@load.example'").fetchall()
    there = {email for (email,) in rows}
    failed = list(tale.ledger.entries(FAILED))
    found(
        f"{len(acknowledged):>6}  orders acknowledged",
        f"{len(rows):>6}  rows in the table",
        f"{tale.written_after_the_receipt:>6}  of them written between the receipt and off",
        f"{tale.ledger.count(REFUSED):>6}  orders refused",
        f"{tale.ledger.count(READ):>6}  pages read",
        f"{len(failed):>6}  requests failed",
    )
    expect(acknowledged == there and len(rows) == len(there), "what was acknowledged is not what is there")
    expect(tale.written_after_the_receipt == 0, "something was written after the receipt")
    expect(not failed, f"failed: {failed[:3]}")
