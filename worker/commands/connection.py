"""A broker that answers, for commands that people wait for."""

import time

from confluent_kafka.admin import AdminClient

from worker import topics
from worker.errors import WorkerError
from worker.moderation.startup import wait_for_broker
from worker.settings import Settings

PATIENCE_S = 10.0


def connect(settings: Settings, patience_s: float = PATIENCE_S) -> AdminClient:
    """An admin client of a broker that answers. WorkerError after patience_s seconds without one."""
    deadline = time.monotonic() + patience_s
    if not wait_for_broker(settings, lambda: time.monotonic() > deadline):
        servers = settings.kafka.bootstrap_servers
        raise WorkerError(f"no broker answers at {servers} (kafka.bootstrap_servers) within {patience_s:g} s")
    return topics.open_admin(settings)
