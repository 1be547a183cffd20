"""`proguard console`: the server of pages and API, and beside it the sender of webhooks."""

import signal
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn

from worker.console import demo_data
from worker.console.store import Store
from worker.console.web.access import Access
from worker.console.web.app import create_app
from worker.console.web.parts import Console, utc_now
from worker.console.web.policies import policy_file
from worker.console.web.webhook import Webhook, send_forever
from worker.errors import ConfigurationError
from worker.settings import Settings


def run(settings: Settings, made_up: bool = False) -> int:
    """Serve until SIGTERM or Ctrl-C. made_up: an own store with a month of invented history, gone afterwards.

    A SQLite store without tables gets them; PostgreSQL's are made by `proguard console migrate`.
    Raises ConfigurationError, StoreError.
    """
    if policy := policy_file(settings).policy:  # a page says what is wrong with a file of which there is none
        settings.console.check_severe(policy.codes)
    # uvicorn raises the signal that ended it once more: by default the process would be gone before it tidied up.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    with ExitStack() as stack:
        url = settings.console.url
        if made_up:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="proguard-console-"))
            url = f"sqlite:///{Path(folder) / 'made-up.db'}"
        store = Store(url, create=url.startswith("sqlite"))
        stack.callback(store.close)
        if made_up:
            demo_data.fill(store, utc_now())
        with store.reading() as session:
            invented = demo_data.is_made_up(session)
        console = Console(settings, store, Access(settings.console), made_up=invented)
        if settings.console.webhook_url_secret is not None and not invented:
            stop = threading.Event()
            stack.callback(stop.set)
            webhook = Webhook(store, settings.console)
            threading.Thread(target=send_forever, args=(webhook, stop), name="webhook", daemon=True).start()
        return _serve(console)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _serve(console: Console) -> int:
    web = console.web
    # Headers of proxies are read by Access alone, and only those of trusted peers; addresses may hold the token.
    config = uvicorn.Config(
        create_app(console),
        host=web.host,
        port=web.port,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=5,
    )
    _Server(config, console).run()
    return 0


class _Server(uvicorn.Server):
    """Says where it is, once it is there."""

    def __init__(self, config: uvicorn.Config, console: Console) -> None:
        super().__init__(config)
        self._console = console

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Listen, then say where. Raises ConfigurationError."""
        try:
            await super().startup()
        except SystemExit as error:  # uvicorn logs why and leaves with a code of its own
            web, cause = self._console.web, error.__context__
            if not isinstance(cause, OSError):
                raise
            raise ConfigurationError(
                f"the console cannot be served at {web.host}:{web.port}: {cause.strerror or cause}. Set console.port "
                "(0: any free one) or console.host"
            ) from None
        if self.started and self.servers:
            port = self.servers[0].sockets[0].getsockname()[1]
            print(address(self._console, port), file=sys.stderr, flush=True)


def address(console: Console, port: int) -> str:
    """Where the console is, with the token where it was made at this start: one of the settings is in no log."""
    web = console.web
    host = f"[{web.host}]" if ":" in web.host else web.host
    base = web.public_url or f"http://{host}:{port}"
    if not console.access.is_local:
        return f"The console is at {base}"
    if web.token_secret is not None:
        return f"The console is at {base}/login and asks for console.token_secret"
    return f"The console is at {base}/login?token={console.access.token}"
