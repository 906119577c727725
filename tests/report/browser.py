"""A real browser for tests of the page: found, started without a network, watched.

`$POLARIS_RXRX_CHROMIUM` names the browser; otherwise it is looked for on the path.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# What a visit can ask of the tab that all share, and what it gets unasked.
HABITS: dict[str, Any] = {
    "viewport": {"width": 1280, "height": 900},
    "color_scheme": "light",
    "reduced_motion": "no-preference",
}
_FREE: dict[Any, Any] = {}  # by browser, the tab that the next visit takes
# From a page's element: the contrast of its text against the nearest ground that is not transparent.
CONTRAST = """element => {
    const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = (rgb) => {
        const [r, g, b] = rgb.slice(0, 3).map((v) => v / 255)
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ink = light(numbers(getComputedStyle(element).color));
    let ground = 1;
    for (let at = element; at; at = at.parentElement) {
        const color = numbers(getComputedStyle(at).backgroundColor);
        if (color.length < 4 || color[3] === 1) { ground = light(color); break; }
    }
    return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
}"""


def find_chromium() -> str | None:
    """The browser's path, or None."""
    if given := os.environ.get("POLARIS_RXRX_CHROMIUM"):
        return given
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def started(home: Path) -> Iterator[Any]:
    """A running browser with a home of its own; skips where there is none."""
    import playwright.sync_api as api

    path = find_chromium()
    if path is None:
        pytest.skip(f"no browser: $POLARIS_RXRX_CHROMIUM is not set and none of {', '.join(NAMES)} is there")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=list(ARGUMENTS), env={**os.environ, "HOME": str(home)}
        )
        try:
            yield browser
        finally:
            _FREE.pop(browser, None)
            browser.close()


@dataclass
class Visit:
    """An open page and what has happened on it."""

    page: Any
    url: str
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def strangers(self) -> list[str]:
        """Requests for anything but the page itself and what lies within it."""
        return [url for url in self.asked if url != self.url and not url.startswith(("data:", "blob:"))]


@contextmanager
def visit(browser: Any, path: Path, **options: Any) -> Iterator[Visit]:
    """Open a file; at the end nothing may have been said, asked for or thrown.

    Visits are made in one tab, one after the other, for a new one takes longer than a page does; each reads
    its file anew. A visit that failed, that is made during another or that asks for more than colors,
    motion and a size (`HABITS`) has a tab of its own.
    """
    shared = set(options) <= set(HABITS)
    page = _FREE.pop(browser, None) if shared else None
    if page is None:
        page = browser.new_context(**({} if shared else options)).new_page()
    kept = False
    here = Visit(page, path.as_uri())
    heard = {
        "console": lambda message: here.said.append(f"{message.type}: {message.text}"),
        "pageerror": lambda error: here.said.append(f"error: {error}"),
        "request": lambda request: here.asked.append(request.url),
        "dialog": lambda dialog: (here.said.append(f"dialog: {dialog.message}"), dialog.dismiss()),
    }
    try:
        habits = {**HABITS, **options}
        page.set_viewport_size(habits["viewport"])
        looks = {name: habits[name] for name in ("color_scheme", "reduced_motion")}
        page.emulate_media(media="null", **looks)
        page.mouse.move(0, 0)
        page.set_default_timeout(5_000)
        for name, hear in heard.items():
            page.on(name, hear)
        page.goto(here.url)
        yield here
        assert here.said == [] and here.strangers == []
        for name, hear in heard.items():
            page.remove_listener(name, hear)
        page.goto("about:blank")
        kept = shared and browser not in _FREE
    finally:
        if kept:
            _FREE[browser] = page
        else:
            page.context.close()
