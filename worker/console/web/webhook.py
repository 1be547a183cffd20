"""Tells another system of clusters that begin to emerge: a POST of JSON, again until it is taken."""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx2

from worker.console.store import Store, StoreError, notices
from worker.console.store.models import ClusterRow, NoticeRow
from worker.console.web import shown
from worker.console.web.exports import plain
from worker.console.web.parts import utc_now
from worker.console.web.settings import WebSettings
from worker.logs import logger

EVERY_S = 10.0
_TIMEOUT_S = 10.0
SIGNATURE = "X-ProGuard-Signature"


class Webhook:
    """At least once a notice: `id` is the same each time. Its address and key are secrets, and never logged."""

    def __init__(
        self,
        store: Store,
        settings: WebSettings,
        clock: Callable[[], datetime] = utc_now,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._transport = transport

    def send_due(self) -> int:
        """Send what is due; how many were taken. Raises StoreError."""
        with self._store.reading() as session:
            due = notices.due(session, self._clock())
        taken = 0
        for notice, row in due:
            done = shown.is_withheld(row) or self._send(notice, row)
            with self._store.writing() as session:
                (notices.sent if done else notices.failed)(session, notice.id, self._clock())
            taken += done
        return taken

    def body(self, notice: NoticeRow, row: ClusterRow) -> bytes:
        """What is sent: the cluster, and where it can be seen. Nothing of any post."""
        base = (self._settings.public_url or "").rstrip("/")
        facts = {name: plain(value) for name, value in shown.cluster_facts(row).items()}
        said: dict[str, Any] = {
            "id": f"{row.id}-{notice.id}",
            "event": "cluster_emerging",
            "since": plain(notice.emerging_since),
            "cluster": facts,
            "address": f"{base}/clusters/{row.id}" if base else None,
        }
        return json.dumps(said, ensure_ascii=False).encode()

    def _send(self, notice: NoticeRow, row: ClusterRow) -> bool:
        body = self.body(notice, row)
        headers = {"content-type": "application/json", "user-agent": "proguard-console"}
        if (key := self._settings.webhook_key_secret) is not None:
            headers[SIGNATURE] = f"sha256={hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}"
        try:
            with httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=False, transport=self._transport) as client:
                status = client.post(self._settings.webhook_url_secret or "", content=body, headers=headers).status_code
        # ValueError: of a host that is no name; OSError: of certificates that cannot be read.
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, OSError) as error:
            logger.warning("the webhook was not reached", extra={"why": type(error).__name__})
            return False
        if not 200 <= status < 300:
            logger.warning("the webhook was not taken", extra={"status": status})
        return 200 <= status < 300


def send_forever(webhook: Webhook, stop: threading.Event) -> None:
    """Every ten seconds until told to stop; a store that is away is asked again."""
    while not stop.wait(EVERY_S):
        try:
            webhook.send_due()
        except StoreError as error:
            logger.warning("the webhook waits for the store", extra={"why": str(error)})
