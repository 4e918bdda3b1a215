"""How pages look: on a phone and on a desktop, in light and in dark; pictures of them, and what axe-core says."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / ".cache" / "screenshots"
README_PICTURES = ROOT / "tests" / "browser" / "screenshots"
COLOURS = 64
README_COLOURS = 24
# A part of Django's own page, and the rule it breaks.
Known = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Look:
    """A screen and its colours."""

    name: str
    width: int
    height: int
    colours: Any

    def take(self, page: Page) -> None:
        """Let a page look like this."""
        page.set_viewport_size({"width": self.width, "height": self.height})
        page.emulate_media(color_scheme=self.colours)


LOOKS = [
    Look(name=f"{screen}-{colours}", width=width, height=height, colours=colours)
    for screen, width, height in (("phone", 390, 844), ("desktop", 1280, 900))
    for colours in ("light", "dark")
]
PHONE, DESKTOP = LOOKS[0], LOOKS[2]


def blemishes(page: Page, name: str, known: tuple[Known, ...] = ()) -> list[str]:
    """Take a picture of a page in each look, and return all that is wrong with it."""
    found = []
    for look in LOOKS:
        look.take(page)
        picture(page, PICTURES / f"{name}-{look.name}.png", full_page=True)
        found += [f"{look.name}: {each}" for each in (*overflows(page), *violations(page, known))]
    # For who reads of a failure: pytest shortens what it compares.
    print(*found, sep="\n")
    return found


def overflows(page: Page) -> list[str]:
    """Return what makes a page wider than its screen."""
    wide: list[str] = page.evaluate(
        """() => {
            const width = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= width) return [];
            const wide = [...document.body.querySelectorAll("*")].filter(
                (each) => each.getBoundingClientRect().right > width + 1);
            return ["the page is wider than its screen: " + wide.slice(0, 5).map(
                (each) => each.tagName + "." + each.className + "#" + each.id).join(", ")];
        }"""
    )
    return wide


def violations(page: Page, known: tuple[Known, ...] = ()) -> list[str]:
    """Return what axe-core finds, but for what is known: a rule and a selector."""
    found = Axe().run(page).response["violations"]
    nodes = [(rule["id"], node) for rule in found for node in rule["nodes"]]
    return [
        f"{rule}: {node['target']} {node['html'][:200]} ({node['failureSummary']})"
        for rule, node in nodes
        if not any(rule == known_rule and _matches(page, node, selector) for known_rule, selector in known)
    ]


def _matches(page: Page, node: Any, selector: str) -> bool:
    return bool(page.locator(node["target"][-1]).first.evaluate("(it, chosen) => it.matches(chosen)", selector))


def picture(page: Page, path: Path, *, colours: int = COLOURS, **how: Any) -> None:
    """Take a picture of a page, in few colours so that it is small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide", **how))) as taken:
        drawn = taken.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
    drawn.save(path, optimize=True)
