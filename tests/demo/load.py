"""The load: `python -m tests.demo.load LEDGER URL...` orders and reads on each server until it is told to end."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from urllib.error import URLError

from .ledger import FAILED, READ, REFUSED, TAKEN, Entry, Ledger
from .site import Answer, Browser

CUSTOMERS = 2  # at each server, and one reader
# Between two orders of a customer.
THINKING_SECONDS = 0.03
PAGES = ("/", "/figures/", "/api/products/", "/?category=tea")


class Load:
    """Everybody who uses the site, a thread each."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._writing = threading.Lock()
        self._end = threading.Event()

    def end(self, *_: object) -> None:
        """Let each finish what it waits for."""
        self._end.set()

    def run(self, servers: list[str]) -> None:
        threads = [
            threading.Thread(target=self._use, args=(use,))
            for number, server in enumerate(servers)
            for use in (
                self._reader(server),
                *(self._customer(server, number * CUSTOMERS + each) for each in range(1, CUSTOMERS + 1)),
            )
        ]
        for thread in threads:
            thread.start()
        # A signal is met by the main thread, and only while it runs Python.
        while not self._end.wait(0.1):
            pass
        for thread in threads:
            thread.join()

    def _use(self, once: Callable[[int], Entry]) -> None:
        for number in count(1):
            entry = once(number)
            with self._writing:
                self._ledger.note(entry)
            if self._end.wait(THINKING_SECONDS):
                return

    def _customer(self, server: str, name: int) -> Callable[[int], Entry]:
        browser, quantity = Browser(), f"quantity_SHOP-{name:03}"

        def order(number: int) -> Entry:
            mark = f"customer-{name}-{number}@load.example"
            try:
                answer = browser.post(f"{server}/order/", email=mark, **{quantity: "1"})
            except (URLError, OSError) as error:
                return Entry(server=server, what=FAILED, order=mark, said=repr(error))
            return Entry(server=server, what=_what(answer, mark), order=mark, said=_said(answer))

        return order

    def _reader(self, server: str) -> Callable[[int], Entry]:
        browser = Browser()

        def read(number: int) -> Entry:
            page = PAGES[number % len(PAGES)]
            try:
                answer = browser.get(f"{server}{page}")
            except (URLError, OSError) as error:
                return Entry(server=server, what=FAILED, said=f"{page}: {error!r}")
            what = READ if answer.status == 200 else FAILED
            return Entry(server=server, what=what, said="" if what == READ else f"{page}: HTTP {answer.status}")

        return read


def _what(answer: Answer, mark: str) -> str:
    """The order's own page means that it was taken; a refusal tells when to come back."""
    if answer.status == 200 and mark.encode() in answer.body:
        return TAKEN
    return REFUSED if answer.status == 503 and b'"retry_after"' in answer.body else FAILED


def _said(answer: Answer) -> str:
    return "" if answer.status == 200 else f"HTTP {answer.status}: {answer.body.decode()[:300]}"


def main(arguments: list[str]) -> None:
    load = Load(Ledger(Path(arguments[0])))
    signal.signal(signal.SIGTERM, load.end)
    load.run(arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
