"""The HTTP server: pages, probes, a port that is taken."""

import socket
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from worker.errors import ConfigurationError
from worker.telemetry.server import TelemetryServer, document, probe


def _broken() -> tuple[int, str, bytes]:
    raise RuntimeError("hidden cause")


@pytest.fixture
def server() -> Iterator[TelemetryServer]:
    pages = {
        "/fine": probe(lambda: None),
        "/bad": probe(lambda: "not yet"),
        "/status": document(lambda: {"a": 1}),
        "/broken": _broken,
    }
    made = TelemetryServer("127.0.0.1", 0, pages)
    yield made
    made.close()


def get(server: TelemetryServer, path: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_pages(server: TelemetryServer) -> None:
    assert get(server, "/fine?verbose=1") == (200, "ok\n")
    assert get(server, "/bad") == (503, "not yet\n")
    assert get(server, "/status") == (200, '{\n  "a": 1\n}\n')
    assert get(server, "/nothing")[0] == 404
    assert get(server, "/fine", "HEAD") == (200, "")
    assert get(server, "/fine", "POST")[0] == 501


def test_a_page_that_breaks_says_nothing_of_the_cause(server: TelemetryServer) -> None:
    assert get(server, "/broken") == (500, "see the log\n")


def test_a_client_that_says_nothing_does_not_hold_up_the_others(server: TelemetryServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        assert get(server, "/fine")[0] == 200


def test_a_port_that_is_taken_is_a_matter_of_configuration(server: TelemetryServer) -> None:
    with pytest.raises(ConfigurationError, match=r"telemetry\.port"):
        TelemetryServer("127.0.0.1", server.port, {})
    with pytest.raises(ConfigurationError, match=r"telemetry\.host"):
        TelemetryServer("no.such.host.invalid", 0, {})


def test_a_client_that_leaves_before_the_answer_is_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    """It would go to stderr past the log, in many lines where others are JSON."""
    large = TelemetryServer("127.0.0.1", 0, {"/large": lambda: (200, "text/plain", b"x" * 10_000_000)})
    with socket.create_connection(("127.0.0.1", large.port)) as client:
        client.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        client.recv(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes with a reset
    time.sleep(0.3)
    large.close()
    assert "Traceback" not in capfd.readouterr().err
