"""Workers under random faults while posts arrive at a steady rate: nothing lost, nothing doubled, nothing reordered.

A kill or stop counts only if the worker had posts in the guard at that moment: its journal tells, while it is frozen.
"""

import itertools
import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.support.kafka_cluster import KafkaCluster
from tests.support.topics import TopicNames
from tests.support.verdicts import Found, find
from tests.support.worker_process import WorkerProcess

_EDITED_EVERY = 7  # one post in so many repeats the id of an earlier one
_LONGEST_STOP_S = 9.0
_PAUSE_S = (0.5, 3.0)
_EXITS_ALLOWED = 5


@dataclass(slots=True)
class StormPlan:
    """Posts arrive at `rate` a second until the faults are over, and at least `posts` of them.

    faults: kills and stops of workers that have to count; broker: whether one is killed and restarted too.
    """

    posts: int
    rate: int
    faults: int
    seed: int
    broker: bool = True
    workers: int = 2
    group_protocol: str = "classic"


@dataclass(slots=True)
class StormReport:
    """What a read_committed reader saw after the storm."""

    posts: int
    kills: int = 0
    stops: int = 0
    exits: list[int] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    reordered: list[str] = field(default_factory=list)
    dead_lettered: int = 0
    undetermined: int = 0

    def line(self) -> str:
        """The closing line."""
        return (
            f"faults={self.kills + self.stops} posts={self.posts} lost={self.lost} doubled={self.doubled} "
            f"reordered={len(self.reordered)} dead_lettered={self.dead_lettered} undetermined={self.undetermined}"
        )

    @property
    def clean(self) -> bool:
        """Whether every promise held."""
        return not (self.lost or self.doubled or self.reordered or self.dead_lettered or self.undetermined)


class Storm:
    """One run on a cluster whose topics exist."""

    def __init__(self, cluster: KafkaCluster, topics: TopicNames, directory: Path, plan: StormPlan) -> None:
        self._cluster = cluster
        self._topics = topics
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._report = StormReport(0)
        self._over = threading.Event()
        self.workers = [
            WorkerProcess(directory, cluster.bootstrap_servers, topics, slot, _settings(plan, slot))
            for slot in range(plan.workers)
        ]

    def run(self, timeout_s: float = 120) -> StormReport:
        """Produce, break, wait for the end, look. The workers are ended whatever happens."""
        producing = threading.Thread(target=self._produce, daemon=True)
        try:
            for worker in self.workers:
                worker.start()
            producing.start()
            self._break()
            self._over.set()
            producing.join()
            self._wait_for_end(time.monotonic() + timeout_s)
            for worker in self.workers:
                worker.terminate()
        finally:
            for worker in self.workers:
                worker.__exit__()
        self._judge(find(self._cluster.client_config(), self._topics))
        return self._report

    def _produce(self) -> None:
        producer = Producer({**self._cluster.client_config(), "enable.idempotence": True, "linger.ms": 5})
        began = time.monotonic()
        for number, post in enumerate(_posts(self._plan.seed)):
            if number >= self._plan.posts and self._over.is_set():
                break
            ahead = number / self._plan.rate - (time.monotonic() - began)
            if ahead > 0:
                time.sleep(ahead)
            producer.produce(self._topics.posts, orjson.dumps(post), post["post_id"])
            producer.poll(0)
            self._report.posts += 1
        if producer.flush(60):
            raise RuntimeError("the storm's own posts were not written")

    def _break(self) -> None:
        broker_at = self._plan.faults // 2 if self._plan.broker else -1
        while self._report.kills + self._report.stops < self._plan.faults:
            time.sleep(self._random.uniform(*_PAUSE_S))
            self._revive()
            if self._report.kills + self._report.stops == broker_at:
                self._break_broker()
                broker_at = -1
            self._break_worker(self._random.choice(self.workers), self._random.random() < 0.5)

    def _break_worker(self, worker: WorkerProcess, kill: bool) -> None:
        worker.suspend()
        if not _in_flight(worker):
            worker.resume()
        elif kill:
            worker.process.send_signal(signal.SIGKILL)
            worker.process.wait(10)
            worker.start()
            self._report.kills += 1
        else:
            time.sleep(self._random.uniform(0.5, _LONGEST_STOP_S))
            worker.resume()
            self._report.stops += 1

    def _break_broker(self) -> None:
        broker = self._random.choice([1, 2, 3])
        self._cluster.kill(broker)
        time.sleep(self._random.uniform(1, 5))
        self._cluster.restart(broker, wait=False)

    def _revive(self) -> None:
        """Start again what ended by itself, as an orchestrator would, and remember how it ended."""
        for worker in self.workers:
            if (code := worker.process.poll()) is not None:
                self._report.exits.append(code)
                if len(self._report.exits) > self._plan.faults + _EXITS_ALLOWED:
                    raise RuntimeError(f"the workers do not stay up:\n{worker.log[-3000:]}")
                worker.start()

    def _wait_for_end(self, deadline: float) -> None:
        consumer = Consumer({**self._cluster.client_config(), "group.id": self._topics.posts})
        try:
            while time.monotonic() < deadline:
                self._revive()
                if _lag(consumer, self._topics.posts) == 0:
                    return
                time.sleep(0.5)
        finally:
            consumer.close()

    def _judge(self, found: Found) -> None:
        report, sources = self._report, found.sources()
        report.lost = report.posts - len(sources)
        report.doubled = sum(count - 1 for count in sources.values())
        report.reordered = found.reordered()
        report.dead_lettered = len(found.dead_letters)
        report.undetermined = sum(verdict["outcome"] == "undetermined" for verdict in found.verdicts)


def _settings(plan: StormPlan, slot: int) -> dict[str, dict[str, Any]]:
    classic = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "1000"}
    return {
        "kafka": {
            "group_protocol": plan.group_protocol,
            "transaction_timeout_ms": 6000,
            "consumer": classic if plan.group_protocol == "classic" else {},
        },
        "guard": {"settings": {"delay_ms": 20, "jitter_ms": 200, "seed": f"{plan.seed}-{slot}"}},
        "batching": {"in_flight": 6, "max_posts": 64},
    }


def _posts(seed: int) -> Iterator[dict[str, Any]]:
    numbers = random.Random(seed)
    for number in itertools.count():
        identity = numbers.randrange(number) if number and number % _EDITED_EVERY == 0 else number
        text = "novel:strange thing" if number % 50 == 0 else f"post number {number}"
        yield {"post_id": f"post-{identity}", "author_id": f"author-{number % 97}", "text": text}


def _in_flight(worker: WorkerProcess) -> bool:
    journals = list(Path(worker.settings["kafka"]["state_dir"]).glob("*.journal"))
    begun: set[int] = set()
    for line in journals[0].read_bytes().splitlines() if journals else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if "begin" in entry:
            begun.add(entry["begin"])
        elif "end" in entry:
            begun.discard(entry["end"])
    return bool(begun)


def _lag(consumer: Consumer, topic: str) -> int:
    partitions = [
        TopicPartition(topic, number) for number in consumer.list_topics(topic, timeout=20).topics[topic].partitions
    ]
    committed = {place.partition: place.offset for place in consumer.committed(partitions, 20)}
    ends = {place.partition: consumer.get_watermark_offsets(place, 20)[1] for place in partitions}
    return sum(end - max(0, committed[number]) for number, end in ends.items())
