"""The proxy of the fault harness does to connections what it says."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.slow_network import Link, Side, SlowNetwork

_TIMEOUT_S = 5.0


class _Echo(socketserver.ThreadingTCPServer):
    """Sends back what it gets, and remembers it; heard is set when a client's end was heard."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        self.got = bytearray()
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", 0), _EchoHandler)


class _EchoHandler(socketserver.BaseRequestHandler):
    server: _Echo

    def handle(self) -> None:
        try:
            while chunk := self.request.recv(65_536):
                self.server.got += chunk
                self.request.sendall(chunk)
        except OSError:
            return
        self.server.ended.set()


@pytest.fixture
def echo() -> Iterator[_Echo]:
    with _Echo() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def link(echo: _Echo) -> Iterator[Link]:
    with SlowNetwork() as network:
        yield network.link(echo.server_address[1])


def _connect(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), _TIMEOUT_S)


def _exchange(client: socket.socket, sent: bytes) -> bytes:
    client.sendall(sent)
    got = b""
    while len(got) < len(sent):
        chunk = client.recv(65_536)
        if not chunk:
            break
        got += chunk
    return got


def _until(true: threading.Event) -> None:
    assert true.wait(_TIMEOUT_S)


def test_bytes_pass_unchanged_and_ends_are_passed_on(link: Link, echo: _Echo) -> None:
    sent = bytes(range(256)) * 4_000
    with _connect(link) as client:
        writer = threading.Thread(target=client.sendall, args=(sent,))
        writer.start()
        got = b""
        while len(got) < len(sent):
            got += client.recv(65_536)
        writer.join()
        assert got == sent
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    _until(echo.ended)


def test_a_delay_holds_both_directions_until_mended(link: Link) -> None:
    with _connect(link) as client:
        _exchange(client, b"warm")
        link.delay(0.1)
        began = time.monotonic()
        assert _exchange(client, b"slow") == b"slow"
        assert time.monotonic() - began >= 0.2
        link.mend()
        assert _exchange(client, b"quick") == b"quick"


def test_a_cut_resets_what_is_open_and_what_connects(link: Link) -> None:
    with _connect(link) as client:
        _exchange(client, b"open")
        link.cut()
        with pytest.raises(ConnectionError):
            client.recv(1)
    with pytest.raises(ConnectionError), _connect(link) as refused:
        refused.recv(1)
    link.mend()
    with _connect(link) as client:
        assert _exchange(client, b"again") == b"again"


def test_a_client_that_is_told_the_end_is_still_heard(link: Link, echo: _Echo) -> None:
    """The worst kind: the request is carried out and the answer is lost."""
    with _connect(link) as client:
        _exchange(client, b"before")
        link.half_close(Side.CLIENT)
        assert client.recv(1) == b""
        client.sendall(b"after")
        client.shutdown(socket.SHUT_WR)
        _until(echo.ended)
        assert bytes(echo.got) == b"beforeafter"
        assert client.recv(1) == b""


def test_a_server_that_is_told_the_end_hears_no_more(link: Link, echo: _Echo) -> None:
    with _connect(link) as client:
        _exchange(client, b"before")
        link.half_close(Side.SERVER)
        _until(echo.ended)
        client.sendall(b"after")
        assert client.recv(1) == b""
        assert bytes(echo.got) == b"before"
    with _connect(link) as client:  # those that come later are not concerned
        assert _exchange(client, b"later") == b"later"


def test_it_answers_in_the_servers_place(link: Link, echo: _Echo) -> None:
    link.answer(lambda chunk: b"no" if chunk == b"storm" else None)
    with _connect(link) as client:
        client.sendall(b"storm")
        assert client.recv(10) == b"no"
        assert _exchange(client, b"calm") == b"calm"
        link.mend()
        assert _exchange(client, b"storm") == b"storm"
    assert bytes(echo.got) == b"calmstorm"


def test_a_server_that_does_not_listen_resets_the_client() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with (
            SlowNetwork() as network,
            pytest.raises(ConnectionError),
            _connect(network.link(unused.getsockname()[1])) as client,
        ):
            client.recv(1)
