"""The webhook against a real HTTP server: signed, again until it is taken, never a word of what is withheld."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest
from sqlalchemy import select

from tests.support.console_pages import seed, settings_of
from tests.support.risks import NOW
from worker.console.store import Store
from worker.console.store.models import NoticeRow
from worker.console.web.webhook import SIGNATURE, Webhook

KEY = "a key of this test"


class Receiver(ThreadingHTTPServer):
    """Keeps what it was sent; answers with `status`."""

    def __init__(self) -> None:
        self.status = 500
        self.bodies: list[bytes] = []
        self.signatures: list[str | None] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.server.signatures.append(self.headers[SIGNATURE])
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


def test_it_is_signed_and_sent_again_until_it_is_taken(store: Store, receiver: Receiver) -> None:
    seed(store)
    with store.writing() as session:
        session.add_all([NoticeRow(cluster_id=each, emerging_since=NOW) for each in ("R2", "R4")])
    url = f"http://127.0.0.1:{receiver.server_address[1]}/hook"
    web = settings_of(webhook_url_secret=url, webhook_key_secret=KEY, public_url="https://console.example").console
    time = NOW
    webhook = Webhook(store, web, lambda: time)
    webhook.send_due()
    assert len(receiver.bodies) == 1
    webhook.send_due()
    assert len(receiver.bodies) == 1, "it waits before it tries again"
    receiver.status = 204
    time = NOW + timedelta(minutes=1)
    assert webhook.send_due() == 1
    assert webhook.send_due() == 0
    first, second = receiver.bodies
    assert first == second
    said = json.loads(first)
    assert (said["cluster"]["id"], said["address"]) == ("R2", "https://console.example/clusters/R2")
    assert said["cluster"]["burst_high"] is None, "JSON has no infinity"
    assert receiver.signatures[0] == f"sha256={hmac.new(KEY.encode(), first, hashlib.sha256).hexdigest()}"
    assert b"not to be read" not in b"".join(receiver.bodies)


@pytest.mark.parametrize("error", [UnicodeError("label empty or too long"), FileNotFoundError(), httpx2.InvalidURL("")])
def test_whatever_an_address_raises_is_an_attempt_that_failed(store: Store, error: Exception) -> None:
    def fail(_: httpx2.Request) -> httpx2.Response:
        raise error

    seed(store)
    with store.writing() as session:
        session.add(NoticeRow(cluster_id="R2", emerging_since=NOW))
    web = settings_of(webhook_url_secret="https://hooks.example/x").console
    assert Webhook(store, web, lambda: NOW, httpx2.MockTransport(fail)).send_due() == 0
    with store.reading() as session:
        assert session.scalar(select(NoticeRow.attempts)) == 1
