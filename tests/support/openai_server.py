"""An OpenAI-compatible server that follows a script: real HTTP on a loopback socket, no model.

What it answers stands in the post: `unsafe:CODE`, `novel:NAME` as for tests.support.guards, red pictures are unsafe;
`server:TROUBLE` answers this request as TROUBLES says; all else is safe. `trouble` answers everything so.
"""

import base64
import io
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from PIL import Image

_KNOWN = re.compile(r"unsafe.(C\d+(?:S\d+)?)")
_NOVEL = re.compile(r"novel.([a-z ]+)")
# The prompt may have replaced the colon.
_TROUBLE = re.compile(r"server.([a-z_]+)")
_CANARY = "The bakery opens"
# For threads that are busy saying nothing.
_BREAK_S = 0.5
Trouble = Callable[["_Handler", "Seen | None"], None]


@dataclass(slots=True)
class Seen:
    """A chat completion that was asked for."""

    body: dict[str, Any]
    authorization: str | None

    @property
    def text(self) -> str:
        """The user's turn."""
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)

    @property
    def image_url(self) -> str | None:
        """The data URL of the picture."""
        content = self.body["messages"][-1]["content"]
        if isinstance(content, str):
            return None
        return next((part["image_url"]["url"] for part in content if part["type"] == "image_url"), None)

    @property
    def image(self) -> Image.Image | None:
        """The picture, decoded."""
        if self.image_url is None:
            return None
        return Image.open(io.BytesIO(base64.b64decode(self.image_url.partition(",")[2])))


@dataclass(slots=True)
class Script:
    """What a server does. silence_s: how long `silence` says nothing; most: requests at once that were seen.

    replies: messages that are given before all else, one a request (canary questions have their usual answer), with
    their finish reasons in ends.
    takes_adapters: as vLLM with runtime updating; refused_adapter is a name that it will not load. adapters: names and
    paths that were loaded, which a restart forgets.
    """

    model: str = "proguard"
    key: str | None = None
    trouble: str | None = None
    replies: list[dict[str, Any]] = field(default_factory=list)
    ends: list[str | None] = field(default_factory=list)
    silence_s: float = 10.0
    delay_s: float = 0.0
    seen: list[Seen] = field(default_factory=list)
    at_once: int = 0
    most: int = 0
    takes_adapters: bool = True
    refused_adapter: str | None = None
    adapters: dict[str, str] = field(default_factory=dict)
    usage: Any = None

    @property
    def posts(self) -> list[Seen]:
        """Requests but canary questions."""
        return [seen for seen in self.seen if _CANARY not in seen.text]


class OpenAIServer:
    """A context manager; start() and stop() may be called again: the address stays."""

    def __init__(self, **script: Any) -> None:
        self.script = Script(**script)
        self._port = 0
        self._server: _Server | None = None

    @property
    def base_url(self) -> str:
        """What goes into guard.base_urls."""
        return f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> None:
        """Listen."""
        self.script.adapters.clear()
        self._server = _Server(("127.0.0.1", self._port), type("Handler", (_Handler,), {"script": self.script}))
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more; connections break."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.break_connections()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, *arguments: Any) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(*arguments)

    def break_connections(self) -> None:
        """Their threads close them; until then a client could not know, and would send its next question on one."""
        for connection in list(self.connections):
            _reset(connection)
        until = time.monotonic() + _BREAK_S
        while self.connections and time.monotonic() < until:
            time.sleep(0.002)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        super().finish()
        self.server.connections.discard(self.connection)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        if not self._may():
            return TROUBLES["wrong_key"](self, None)
        if self.path != "/v1/models":
            return self.say(404, {"detail": "Not Found"})
        return self.say(200, {"object": "list", "data": [{"id": name} for name in self._served()]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/v1/load_lora_adapter":
            return self._load(body["lora_name"], body["lora_path"])
        seen = Seen(body, self.headers.get("authorization"))
        script = self.script
        script.seen.append(seen)
        script.at_once += 1
        script.most = max(script.most, script.at_once)
        try:
            time.sleep(script.delay_s)
            self._answer(seen)
        finally:
            script.at_once -= 1

    def say(self, status: int, reply: Any, **headers: str) -> None:
        """JSON, or bytes as they are."""
        data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def complete(self, text: str | None, finish_reason: str = "stop") -> None:
        """A chat completion."""
        self.say_message({"content": text}, finish_reason)

    def say_message(self, message: dict[str, Any], finish_reason: str | None = "stop") -> None:
        """A chat completion with more than a content."""
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
        self.say(200, {"id": "1", "object": "chat.completion", "choices": [choice], "usage": self.script.usage})

    def _may(self) -> bool:
        return self.script.key is None or self.headers.get("authorization") == f"Bearer {self.script.key}"

    def _served(self) -> list[str]:
        return [self.script.model, *self.script.adapters]

    def _load(self, name: str, path: str) -> None:
        """As vLLM 0.32 answers."""
        if not self.script.takes_adapters:
            return self.say(404, {"detail": "Not Found"})
        if name == self.script.refused_adapter:
            return _error(404, f"Loading lora {name} failed: No adapter found for {path}", "NotFoundError")(self, None)
        if name in self.script.adapters:
            return _error(400, f"The lora adapter '{name}' has already been loaded.", "InvalidUserInput")(self, None)
        self.script.adapters[name] = path
        return self.say(200, f"Success: LoRA adapter '{name}' added successfully.".encode())

    def _answer(self, seen: Seen) -> None:
        if not self._may():
            return TROUBLES["wrong_key"](self, seen)
        if seen.body["model"] not in self._served():
            return TROUBLES["unknown_model"](self, seen)
        if self.script.replies and _CANARY not in seen.text:
            end = self.script.ends.pop(0) if self.script.ends else "stop"
            return self.say_message(self.script.replies.pop(0), end)
        own = _TROUBLE.search(seen.text)
        trouble = self.script.trouble or (own.group(1) if own else None)
        if trouble is not None:
            return TROUBLES[trouble](self, seen)
        return self.complete(_said(seen))


def answer(label: str, category: str) -> str:
    """As ProGuard writes it."""
    return f"<think>as told</think>\n<answer>\nRequest:{label}\nResponse:safe\nCategory:{category}\n</answer>"


def _said(seen: Seen) -> str:
    """The answer that the script gives; a forced one where the request asks for that."""
    category = "None"
    if found := _KNOWN.search(seen.text) or _NOVEL.search(seen.text):
        category = found.group(1).strip()
    elif (image := seen.image) is not None and _is_red(image):
        # Pictures with a conversation have main categories only.
        category = "C3" if "<conversation>" in seen.text else "C3S1"
    label = "safe" if category == "None" else "unsafe"
    if "response_format" in seen.body:
        return json.dumps({"rationale": "as told", "request": label, "response": "safe", "category": category})
    return answer(label, category)


def _is_red(image: Image.Image) -> bool:
    red, green, blue = image.convert("RGB").resize((1, 1)).tobytes()
    return red > 200 and green < 60 and blue < 60


def _error(status: int, message: str, kind: str = "BadRequestError", **headers: str) -> Trouble:
    reply = {"error": {"message": message, "type": kind, "param": None, "code": status}}
    return lambda handler, _seen: handler.say(status, reply, **headers)


def _break_off(handler: "_Handler", _seen: Seen | None) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"message": {"content": "<answer>')
    handler.wfile.flush()
    handler.close_connection = True
    _reset(handler.connection)


def _say_nothing(handler: "_Handler", _seen: Seen | None) -> None:
    time.sleep(handler.script.silence_s)
    handler.close_connection = True


def _mumble(handler: "_Handler", seen: Seen | None) -> None:
    """Nothing that can be parsed, unless a form is prescribed."""
    is_forced = seen is not None and "response_format" in seen.body
    handler.complete(_said(seen) if is_forced and seen else "I had rather not say.")


TROUBLES: dict[str, Trouble] = {
    "busy": _error(429, "Too many requests", "RateLimitError", retry_after="0.2"),
    "unavailable": _error(503, "No backend", "ServiceUnavailable", retry_after="0.2"),
    "error": _error(500, "Internal server error", "InternalServerError"),
    "reset": _break_off,
    "silence": _say_nothing,
    "malformed": lambda handler, _seen: handler.say(200, b'{"choices": [{"mess'),
    "no_choices": lambda handler, _seen: handler.say(200, {"choices": []}),
    "endless": lambda handler, _seen: handler.say(200, b"x" * 2_000_000),
    "unknown_model": _error(404, "The model does not exist.", "NotFoundError"),
    "wrong_key": _error(401, "Unauthorized", "AuthenticationError"),
    "overflow": _error(400, "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens"),
    "refused_image": _error(400, "Failed to load image: cannot identify image file"),
    "refuse": _error(400, "Something is wrong with this request"),
    "mumble": _mumble,
    "gibberish": lambda handler, _seen: handler.complete("I had rather not say."),
    "empty": lambda handler, _seen: handler.complete(None),
    "aborted": lambda handler, _seen: handler.complete(answer("safe", "None"), finish_reason="abort"),
    "cut": lambda handler, _seen: handler.complete("<think>It goes on and on", finish_reason="length"),
}


def _reset(connection: socket.socket) -> None:
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
        connection.close()
    except OSError:
        pass
