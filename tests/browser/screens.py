"""People's own browser windows: whoever comes next takes one that is free, as it was when it was new."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from playwright.sync_api import Browser, Page

from tests.browser.looks import DESKTOP

# How long people wait at most; each page comes much sooner.
MILLISECONDS = 30_000
USUAL = {"locale": "en-GB", "timezone_id": "Europe/Amsterdam", "reduced_motion": "reduce"}


class Screens:
    """Windows by how they were opened, each with cookies of its own.

    None is closed before the browser is: now and then Chromium takes for ever to close one.
    """

    def __init__(self, browser: Browser) -> None:
        self.mistakes: list[str] = []
        self._browser = browser
        self._free: dict[Any, list[Page]] = defaultdict(list)
        self._taken: list[tuple[Any, Page]] = []

    def take(self, *, cookies: Iterable[Any] = (), **how: Any) -> Page:
        """Give somebody a window: nobody else has its cookies."""
        key = tuple(how.items())
        free = self._free[key]
        page = free.pop() if free else self._opened(how)
        self._taken.append((key, page))
        page.context.add_cookies([*cookies])
        DESKTOP.take(page)
        return page

    def clean(self) -> None:
        """Take all windows back."""
        while self._taken:
            key, page = self._taken.pop()
            page.goto("about:blank")
            page.context.clear_cookies()
            self._free[key].append(page)

    def _opened(self, how: dict[str, Any]) -> Page:
        context = self._browser.new_context(**{**USUAL, **how})
        context.set_default_timeout(MILLISECONDS)
        context.on("weberror", lambda error: self.mistakes.append(str(error.error)))
        return context.new_page()
