"""One suite on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.browser import chromium
from tests.support.console_pages import seed
from worker.console.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'risks.db'}"
    url: str = request.getfixturevalue("postgres").new_database()
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A store with tables and nothing in them."""
    store = Store(store_url, create=True)
    yield store
    store.close()


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with what tests/support/console_pages.py seeds."""
    seed(store)
    return store


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()
