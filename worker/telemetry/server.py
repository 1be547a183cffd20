"""The worker's small HTTP server: metrics, probes, status. GET only, nothing can be changed through it."""

import json
import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from worker.errors import ConfigurationError

log = logging.getLogger(__name__)

# A client that does not send its request must not hold a thread for ever.
_CLIENT_TIMEOUT_S = 10.0
# Connections not accepted yet: the default of 5 makes probes wait behind a burst of others.
_CLIENTS_WAITING = 128
_PLAIN = "text/plain; charset=utf-8"

# Status, content type, body.
Answer = tuple[int, str, bytes]
Page = Callable[[], Answer]


def probe(problem: Callable[[], str | None]) -> Page:
    """200 and ok, or 503 and the problem."""

    def answer() -> Answer:
        said = problem()
        return (200, _PLAIN, b"ok\n") if said is None else (503, _PLAIN, f"{said}\n".encode())

    return answer


def document(make: Callable[[], dict[str, Any]]) -> Page:
    """200 and a JSON object."""

    def answer() -> Answer:
        return 200, "application/json", json.dumps(make(), indent=2, default=str).encode() + b"\n"

    return answer


class TelemetryServer:
    """Answers on threads of its own from the moment it is made. ConfigurationError where the port cannot be had."""

    def __init__(self, host: str, port: int, pages: dict[str, Page]) -> None:
        class Handler(_Handler):
            paths = pages

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = _CLIENTS_WAITING
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

            def handle_error(self, request: Any, client_address: Any) -> None:
                # A client that left while it was answered; the default prints a traceback past the log.
                log.debug("%s was not answered", client_address, exc_info=True)

        try:
            self._server = Server((host, port), Handler)
        except OSError as error:
            raise ConfigurationError(
                f"metrics and probes cannot be served at {host}:{port}: {error.strerror or error}. Set telemetry.port "
                "(the default is 9464 + kafka.slot; 0 serves nothing) or telemetry.host"
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="telemetry", daemon=True)
        self._thread.start()
        log.info("metrics, probes and status: http://%s:%d%s", host, self.port, " ".join(["", *pages]))

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    paths: dict[str, Page]
    timeout = _CLIENT_TIMEOUT_S
    server_version = "proguard"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one request."""
        page = self.paths.get(self.path.partition("?")[0])
        try:
            status, kind, body = page() if page is not None else (404, _PLAIN, b"there is no such page\n")
        except Exception:
            log.exception("%s cannot be answered", self.path.partition("?")[0])
            status, kind, body = 500, _PLAIN, b"see the log\n"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        """The same without its body."""
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: a probe comes every few seconds."""
