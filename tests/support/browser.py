"""A headless Chromium (Debian's) by Playwright, for pages that people look at."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 60_000

# Its own 5 s are short where engines load on the same two processors; a page's default timeout is not asked.
expect.set_options(timeout=PATIENCE_MS)


@dataclass(slots=True)
class Watched:
    """What a page asked for and complained of."""

    addresses: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def chromium() -> Path:
    """The browser; a test without one is skipped, which fails a run with CI=true."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium here: scripts/install-system-requirements.sh")
    return Path(found)


@contextmanager
def opened(file: Path, width: int = 1280, height: int = 1000) -> Iterator[tuple[Page, Watched]]:
    """A page of a file in a fresh browser."""
    watched = Watched()
    with sync_playwright() as playwright:
        # Without its sandbox it also starts as root, as in containers; pages are our own.
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.on("request", lambda request: watched.addresses.append(request.url))
            page.on("console", lambda message: watched.complaints.append(message.text))
            page.on("pageerror", lambda error: watched.complaints.append(str(error)))
            page.goto(file.as_uri())
            yield page, watched
        finally:
            browser.close()
