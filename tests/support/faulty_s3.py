"""An S3 endpoint that misbehaves on command: each key says how it is answered, and the whole can be down."""

import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

_LAST_MODIFIED = "Tue, 24 Nov 2026 00:00:00 GMT"


@dataclass(slots=True)
class Answer:
    """How one key is answered. times: how often, before it is answered with body as it should be (None: always).

    declared: the Content-Length said, where it is not the body's. reset: break the connection in mid-body.
    """

    status: int = 200
    code: str | None = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    declared: int | None = None
    delay_s: float = 0.0
    reset: bool = False
    times: int | None = None


def failing(status: int, code: str | None, body: bytes = b"", times: int | None = None) -> Answer:
    """An S3 error; after `times` of them the body."""
    return Answer(status, code, body, times=times)


class FaultyS3:
    """A context manager; serves `objects[bucket/key]` from threads. What is not there is NoSuchKey."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.objects: dict[str, Answer] = {}
        self.requests: Counter[str] = Counter()
        self.seen_headers: dict[str, dict[str, str]] = {}
        self.bytes_sent: Counter[str] = Counter()
        self.everything: Answer | None = None
        self.missing = Answer(404, "NoSuchKey")
        handler = type("Handler", (_Handler,), {"faulty": self})
        self._server = _Server((host, 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def endpoint_url(self) -> str:
        """http://HOST:PORT."""
        return f"http://{self._server.server_address[0]!s}:{self._server.server_port}"

    @property
    def total(self) -> int:
        """Requests so far."""
        return sum(self.requests.values())

    def put(self, path: str, body: bytes) -> None:
        """A sound object at bucket/key."""
        self.objects[path] = Answer(body=body)

    def answer_for(self, path: str) -> Answer:
        """What the next request for bucket/key gets."""
        if self.everything is not None:
            return self.everything
        answer = self.objects.get(path, self.missing)
        if answer.times is not None and self.requests[path] > answer.times:
            return Answer(body=answer.body)
        return answer

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
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536
    faulty: FaultyS3

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        self.faulty.requests[path] += 1
        self.faulty.seen_headers[path] = {name.lower(): value for name, value in self.headers.items()}
        answer = self.faulty.answer_for(path)
        time.sleep(answer.delay_s)
        if answer.status == 0:
            self._reset()
        elif answer.status >= 300:
            self._send(answer, self._error_body(answer), path)
        else:
            self._send(answer, answer.body, path)

    def _send(self, answer: Answer, body: bytes, path: str) -> None:
        self.send_response(answer.status)
        declared = len(body) if answer.declared is None else answer.declared
        common = {"Content-Length": str(declared), "ETag": '"e1"', "Last-Modified": _LAST_MODIFIED}
        for name, value in {**common, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if answer.reset:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self._reset()
            return
        for start in range(0, len(body), 65_536):
            self.wfile.write(body[start : start + 65_536])
            self.faulty.bytes_sent[path] += len(body[start : start + 65_536])
        self.wfile.flush()
        self.close_connection = declared != len(body)

    @staticmethod
    def _error_body(answer: Answer) -> bytes:
        if answer.code is None:
            return b"a page of some gateway"
        return f'<?xml version="1.0"?><Error><Code>{answer.code}</Code><Message>m</Message></Error>'.encode()

    def _reset(self) -> None:
        """RST instead of a proper end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
