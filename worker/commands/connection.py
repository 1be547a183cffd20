"""A broker that answers, for commands that people wait for."""

import time

from confluent_kafka.admin import AdminClient

from worker import topics
from worker.errors import WorkerError
from worker.moderation.startup import Refusals, wait_for_broker
from worker.settings import Settings

PATIENCE_S = 10.0


def connect(settings: Settings, patience_s: float = PATIENCE_S) -> AdminClient:
    """An admin client of a broker that answers. WorkerError after patience_s seconds without one."""
    deadline = time.monotonic() + patience_s
    refusals = Refusals()
    if not wait_for_broker(settings, lambda: time.monotonic() > deadline, refusals):
        servers = settings.kafka.bootstrap_servers
        where = f"{servers} (kafka.bootstrap_servers)"
        raise WorkerError(f"no broker answers at {where} within {patience_s:g} s: {refusals.last}")
    return topics.open_admin(settings)
