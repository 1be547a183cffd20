"""The console's real server in a thread, for browsers and for benchmarks."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from tests.support.console_pages import settings_of
from worker.console import demo_data
from worker.console.store import Store
from worker.console.web.access import Access
from worker.console.web.app import create_app
from worker.console.web.parts import Console, utc_now
from worker.console.web.server import address
from worker.local.child import free_ports

_START_S = 60.0


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, Store]]:
    """A console on a month of invented history: its address with the token, and the store."""
    store = Store(f"sqlite:///{folder / 'risks.db'}", create=True)
    try:
        demo_data.fill(store, utc_now())
        with serving(store, made_up=True) as where:
            yield where, store
    finally:
        store.close()


@contextmanager
def serving(store: Store, *, made_up: bool = False) -> Iterator[str]:
    """A console on a store; its address with the token."""
    (port,) = free_ports(1)
    settings = settings_of(user_header=None, trusted_proxies=[], port=port, requests_per_minute=100_000)
    console = Console(settings, store, Access(settings.console), made_up=made_up)
    config = uvicorn.Config(create_app(console), "127.0.0.1", port, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="console")
    thread.start()
    try:
        deadline = time.monotonic() + _START_S
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.started
        yield address(console, port).rpartition(" ")[2]
    finally:
        server.should_exit = True
        thread.join()
