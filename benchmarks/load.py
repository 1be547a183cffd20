"""Posts for benchmarks: a backlog laid down before, or a steady stream with the moment of each acknowledgement.

Run as a program it is the steady stream, in a process of its own so that its work does not slow what is measured:
python -m benchmarks.load SETTINGS, where SETTINGS is JSON: bootstrap_servers, topic, rate, seconds, every, out.
It writes to `out` a line of JSON for each post that was watched: partition, offset, acknowledged (monotonic seconds).
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import KafkaError, Message, Producer

from tests.support.kafka_cluster import ClientConfig
from tests.support.processes import start_server
from tests.support.topics import produce
from worker.local.child import Child

ACKNOWLEDGED = "acknowledged.jsonl"
_HARDLY_EVER = 1_000_000

# A post of 1 KB in all: the size of a long comment with its envelope.
_WORDS = (
    "we walked along the river until the rain came and then sat in the small cafe by the bridge where the owner makes "
    "her own bread every morning and tells everyone who will listen about the year when the water stood in the cellar "
)
_TEXT = (_WORDS * 5)[:830]


def post(number: int) -> bytes:
    """The post of a number, about 1,000 bytes of JSON."""
    return orjson.dumps(
        {
            "post_id": f"post-{number:08d}",
            "author_id": f"author-{number % 9973:04d}",
            "created_at": "2026-11-24T12:00:00Z",
            "text": f"{number} {_TEXT}",
            "language": "en",
        }
    )


def backlog(config: ClientConfig, topic: str, count: int) -> None:
    """Write `count` posts, keyed by their id, and wait for all acknowledgements."""
    packed: ClientConfig = {**config, "compression.type": "lz4", "queue.buffering.max.messages": 200_000}
    produce(packed, topic, ((f"post-{number:08d}".encode(), post(number)) for number in range(count)))


class SteadyStream:
    """An open loop: posts leave when they are due, whatever comes back. Every `every`-th is watched."""

    def __init__(self, config: ClientConfig, topic: str, rate: float, every: int) -> None:
        self._producer = Producer({**config, "linger.ms": 5, "acks": "all", "enable.idempotence": True})
        self._topic = topic
        self._rate = rate
        self._every = every
        self.acknowledged: list[tuple[int, int, float]] = []
        self.late_s = 0.0

    def run(self, seconds: float) -> int:
        """Send for so long; returns how many."""
        began = time.monotonic()
        sent = 0
        while (now := time.monotonic() - began) < seconds:
            due = int(now * self._rate)
            self.late_s = max(self.late_s, (due - sent) / self._rate if due > sent else 0.0)
            while sent < due:
                self._send(sent)
                sent += 1
            self._producer.poll(0.001)
        self._producer.flush(30)
        return sent

    def _send(self, number: int) -> None:
        watched = self._note if number % self._every == 0 else None
        while True:
            try:
                self._producer.produce(self._topic, post(number), f"post-{number:08d}", on_delivery=watched)
                return
            except BufferError:
                self._producer.poll(0.01)

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.acknowledged.append((message.partition() or 0, message.offset() or 0, time.monotonic()))


def start_steady(
    bootstrap_servers: str, topic: str, rate: float, seconds: float, directory: Path, every: int = _HARDLY_EVER
) -> Child:
    """The steady stream in a process of its own; what it watched is in the folder's ACKNOWLEDGED at the end."""
    settings = {
        "bootstrap_servers": bootstrap_servers,
        "topic": topic,
        "rate": rate,
        "seconds": seconds,
        "every": every,
        "out": str(directory / ACKNOWLEDGED),
    }
    return start_server([sys.executable, "-m", "benchmarks.load", json.dumps(settings)], directory / "load.log")


def main(settings: dict[str, Any]) -> None:
    """The steady stream as a program."""
    stream = SteadyStream(
        {"bootstrap.servers": settings["bootstrap_servers"]}, settings["topic"], settings["rate"], settings["every"]
    )
    stream.run(settings["seconds"])
    lines = (json.dumps(entry) for entry in stream.acknowledged)
    Path(settings["out"]).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        "python -m benchmarks.load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", type=json.loads, metavar="SETTINGS")
    main(parser.parse_args().settings)
