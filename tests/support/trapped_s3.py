"""A way to the real S3 server on which traps can be laid: at a given request something happens, before or after it."""

import http.client
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

_HOP = {"connection", "expect", "keep-alive", "transfer-encoding"}
_TIMEOUT_S = 30.0


class Moment(Enum):
    """Before: the server never hears of the request. After: it has done it, and the client never hears of that."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Trap:
    """Springs once, at the first request in whose `METHOD /bucket/key` the pattern `what` is found.

    act: called in the thread of the request. cut: whether the client is hung up on then, or answered as if nothing
    had been.
    """

    what: str
    moment: Moment
    act: Callable[[], None]
    cut: bool = True


class TrappedS3:
    """A context manager; clients go to endpoint_url. Requests are handed on as they came, signatures and all."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target).netloc
        self._traps: list[Trap] = []
        self._lock = threading.Lock()
        self.requests: list[str] = []
        handler = type("Handler", (_Handler,), {"way": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def endpoint_url(self) -> str:
        """http://127.0.0.1:PORT."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def is_set(self) -> bool:
        """Whether a trap has not sprung yet."""
        return bool(self._traps)

    def lay(self, trap: Trap) -> None:
        """Beside those that are laid."""
        with self._lock:
            self._traps.append(trap)

    def clear(self) -> None:
        """No traps."""
        with self._lock:
            self._traps.clear()

    def springs(self, request: str, moment: Moment) -> Trap | None:
        """The trap for this request, which is gone then."""
        with self._lock:
            for trap in self._traps:
                if trap.moment is moment and re.search(trap.what, request):
                    self._traps.remove(trap)
                    return trap
        return None

    def hand_on(self, method: str, path: str, headers: dict[str, str], body: bytes) -> http.client.HTTPResponse:
        """The server's answer. OSError where it is away."""
        connection = http.client.HTTPConnection(self._target, timeout=_TIMEOUT_S)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body or None)
        return connection.getresponse()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    way: TrappedS3

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""

    def _handle(self) -> None:
        body = self._body()
        asked = f"{self.command} {unquote(urlsplit(self.path).path)}"
        self.way.requests.append(asked)
        if self._sprung(asked, Moment.BEFORE):
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        if body and "content-length" not in {name.lower() for name in headers}:
            headers["Content-Length"] = str(len(body))
        try:
            answer = self.way.hand_on(self.command, self.path, headers, body)
            content = answer.read()
        except OSError:
            self.close_connection = True
            return
        if self._sprung(asked, Moment.AFTER):
            return
        self._answer(answer, content)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _handle  # noqa: N815

    def _sprung(self, asked: str, moment: Moment) -> bool:
        """Whether the client is to hear nothing."""
        trap = self.way.springs(asked, moment)
        if trap is None:
            return False
        trap.act()
        self.close_connection = trap.cut or self.close_connection
        return trap.cut

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        found = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _answer(self, answer: http.client.HTTPResponse, content: bytes) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                self.send_header(name, value)
        length = answer.getheader("content-length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        self.wfile.write(content)
